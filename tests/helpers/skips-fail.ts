import type { Reporter, TestCase } from 'vitest/node';

/**
 * Makes a run fail when a test is skipped: for machines that have, or can install, every tool that a test may
 * need. Elsewhere a test that lacks its tool is skipped, with the reason.
 */
export class SkipsFail implements Reporter {
  readonly #skipped: string[] = [];

  onTestCaseResult(test: TestCase): void {
    const result = test.result();
    if (result.state === 'skipped')
      this.#skipped.push(`${test.fullName}${result.note ? `: ${result.note}` : ''}`);
  }

  onTestRunEnd(): void {
    if (this.#skipped.length === 0) return;
    process.stderr.write(`REQUIRE_ALL is set, but these were skipped:\n  ${this.#skipped.join('\n  ')}\n`);
    process.exitCode = 1;
  }
}
