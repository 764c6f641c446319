import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  logLevel: "warn",
  build: { chunkSizeWarningLimit: 16000, rolldownOptions: { checks: { bundlerTimings: false } } },
});
