import { setFlagsFromString } from 'node:v8';
import { createContext, runInContext } from 'node:vm';

// Loaded ahead of a program, by `--import`: its garbage is then collected when it gets SIGUSR2.
setFlagsFromString('--expose-gc');
// Only a context made from now on has it.
const context = createContext();
process.on('SIGUSR2', () => {
  runInContext('gc()', context);
});
