/** Runs a benchmark as a program: prints what it fails with as one line, and sets the exit code. */
export async function runBenchmark(main: (args: readonly string[]) => Promise<number>): Promise<void> {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
