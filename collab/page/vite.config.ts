import { defineConfig } from "vite";

const node = "http://127.0.0.1:8005";

export default defineConfig({
  // Relative addresses let the page sit behind any path prefix.
  base: "./",
  build: {
    // Newer than Vite's default, so that light-dark() reaches the browser as it was written.
    target: ["chrome123", "firefox125", "safari17.5"],
    sourcemap: false,
    modulePreload: { polyfill: false },
    // An asset turned into a data: address would need a wider Content-Security-Policy.
    assetsInlineLimit: 0,
    rolldownOptions: {
      output: {
        // Most packages' entry is called "dist"; the folder above tells what it is.
        chunkFileNames: ({ facadeModuleId }) => `assets/${facadeModuleId?.match(/lang-\w+/)?.[0] ?? "[name]"}-[hash].js`,
      },
    },
    license: { fileName: "licenses.md" },
  },
  server: {
    proxy: {
      "/socket.io": { target: node, ws: true },
    },
  },
});
