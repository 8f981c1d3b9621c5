import { defineConfig } from "vitest/config";

// The page is made in build/web, where CMake takes it from. Nothing may be inlined: the server's
// Content-Security-Policy is default-src 'self', and data: URLs are not of its origin.
export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    outDir: "../build/web/dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  server: {
    host: "127.0.0.1", // "localhost" is unknown where there is no /etc/hosts
    proxy: Object.fromEntries(["/v1", "/dbrx", "/health", "/tokenize"].map((path) => [path, "http://127.0.0.1:8000"])),
  },
  test: {
    include: ["src/**/*.test.ts"],
    environment: "node",
    poolOptions: { forks: { execArgv: ["--experimental-global-webcrypto"] } }, // Node 18 has no crypto without
  },
});
