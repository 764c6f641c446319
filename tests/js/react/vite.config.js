import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  logLevel: "warn",
  resolve: {
    preserveSymlinks: true, // the programs of docs/clients find the packages here
    // y-monaco names a file that is elsewhere since monaco-editor 0.56.
    alias: { "monaco-editor/esm/vs/editor/editor.api.js": "monaco-editor" },
  },
  build: { chunkSizeWarningLimit: 16000, rolldownOptions: { checks: { bundlerTimings: false } } },
});
