import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Begins with the folders whose files take longest, so that none of them is left to run alone at the end. */
export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- a sequencer sorts files, not an array
    const sorted = await super.sort(files);
    return [...sorted.filter(isSlow), ...sorted.filter((file) => !isSlow(file))];
  }
}

function isSlow({ moduleId }: TestSpecification): boolean {
  return /\/(browser|faults|start)\//.test(moduleId);
}
