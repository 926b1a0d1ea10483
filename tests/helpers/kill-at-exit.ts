const kills = new Set<() => void>();

process.once('exit', () => {
  for (const kill of kills) kill();
});

/** Calls `kill` should the tests end without having stopped what they started. */
export function killAtExit(kill: () => void): void {
  kills.add(kill);
}
