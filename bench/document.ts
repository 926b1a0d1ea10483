import { readFile, writeFile } from 'node:fs/promises';
import { BenchError } from './options.js';

/**
 * Writes texts into a Markdown file, each between the two comments that bear its name:
 * `<!-- chain: begin -->` and `<!-- chain: end -->`.
 *
 * @throws {BenchError} when there is no such file, or a place is missing; nothing is written then.
 */
export async function writeSections(file: string, sections: Record<string, string>): Promise<void> {
  await writeFile(file, insertSections(await readText(file), sections, file));
}

/** Tells before anything is measured that it can be written. @throws {BenchError} as `writeSections` does. */
export async function checkSections(file: string, names: readonly string[]): Promise<void> {
  insertSections(await readText(file), Object.fromEntries(names.map((name) => [name, ''])), file);
}

/** @throws {BenchError} when a place is missing. */
export function insertSections(text: string, sections: Record<string, string>, file: string): string {
  let written = text;
  for (const [name, section] of Object.entries(sections)) {
    const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
    const [from, to] = [written.indexOf(begin), written.indexOf(end)];
    if (from === -1 || to < from) {
      throw new BenchError(`${file} has no place for "${name}": expected ${begin} and, after it, ${end}`);
    }
    written = `${written.slice(0, from + begin.length)}\n\n${section}\n\n${written.slice(to)}`;
  }
  return written;
}

async function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    throw new BenchError(`--into ${file}: can't be read`, { cause: error });
  });
}
