/** Takes from text of others what would do more to a terminal than write a line. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}

/** Writes a document as JSON on one line, which is all that it does to a terminal, whatever is in it. */
function toJson(document: unknown): string {
  return JSON.stringify(document).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (found) =>
    found
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

/** What a command says: lines for people, or JSON for programs. */
export class Output {
  constructor(private readonly isJson: boolean) {}

  /** Says one thing: as JSON, a document on a line of its own. */
  say(text: string, document: unknown): void {
    process.stdout.write(this.isJson ? `${toJson(document)}\n` : `${text}\n`);
  }

  /** Says something to people alone. */
  note(text: string): void {
    if (!this.isJson) process.stdout.write(`${text}\n`);
  }

  /** Says something beside the result. */
  warn(text: string): void {
    process.stderr.write(`suite: ${oneLine(text)}\n`);
  }

  /** Says why it could not be done. */
  fail(message: string): void {
    process.stderr.write(this.isJson ? `${toJson({ error: message })}\n` : `suite: ${message}\n`);
  }
}

/** Lays rows out in columns. The first is the head. */
export function toTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
