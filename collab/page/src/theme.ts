/** Light, dark, or as the system has it. */
import { memory } from "./room";

type Theme = "light" | "dark";

const system = window.matchMedia("(prefers-color-scheme: dark)");

export function watchTheme(button: HTMLElement): void {
  const root = document.documentElement;
  const chosen = (): Theme | null => {
    const value = memory.get("theme");
    return value === "light" || value === "dark" ? value : null;
  };
  const inForce = (): Theme => chosen() ?? (system.matches ? "dark" : "light");
  let theme: Theme = inForce();
  const apply = () => {
    root.dataset["theme"] = theme;
    const other = theme === "dark" ? "light" : "dark";
    button.setAttribute("aria-label", `Use ${other} colors`);
    button.title = `Use ${other} colors`;
  };
  button.addEventListener("click", () => {
    theme = theme === "dark" ? "light" : "dark";
    // A choice that is the system's own is no choice: the page then follows the system again.
    memory.set("theme", theme === (system.matches ? "dark" : "light") ? null : theme);
    apply();
  });
  system.addEventListener("change", () => {
    theme = inForce();
    apply();
  });
  apply();
}
