import { defineConfig } from "vite";

const node = "http://127.0.0.1:8005";

export default defineConfig({
  // Relative addresses let the page sit behind any path prefix.
  base: "./",
  build: {
    // Newer than Vite's default, so that light-dark() and relative colors reach the browser as they were written.
    target: ["chrome123", "firefox128", "safari17.5"],
    sourcemap: false,
    modulePreload: { polyfill: false },
    // An asset turned into a data: address would need a wider Content-Security-Policy.
    assetsInlineLimit: 0,
    rolldownOptions: {
      output: {
        chunkFileNames: ({ name, facadeModuleId, moduleIds }) => {
          // Most packages' entry is called "dist", and each screen's is called "screen"; the folder tells more.
          const telling = facadeModuleId ?? (name === "dist" ? moduleIds.at(-1) : undefined);
          const folder = telling?.match(/lang-\w+|(?<=src\/)\w+(?=\/screen)/)?.[0];
          const shared = moduleIds.some((id) => id.includes("@codemirror/view")) ? "codemirror" : name;
          return `assets/${folder ?? shared}-[hash].js`;
        },
      },
    },
    license: { fileName: "licenses.md" },
  },
  server: {
    proxy: {
      "/socket.io": { target: node, ws: true },
      "/yjs": { target: node, ws: true },
      "/api": { target: node },
    },
  },
});
