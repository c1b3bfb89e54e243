/**
 * Runs cases of the systems that Millrace takes after through it: `node test/seed-cases.ts FILE [--system storey|mlserver|…] [--feature TEXT]`.
 * Prints each case that failed and, last, `N passed, N failed`; exits with 1 when one failed. A case that it does not know has failed.
 */
import "../src/hooks.ts";

// Behind the hooks, by which `millrace` is found.
const { main } = await import("./seed-cases/main.ts");
process.exitCode = await main(process.argv.slice(2));
