import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import getPort from 'get-port';
import type { Answers } from '../floors/answers.js';
import type { Measured, Processes } from '../processes.js';

/** A process that only answers. */
export interface Floor {
  address: string;
  processes: readonly Measured[];
}

/** A grpc-js server that only answers: `answers` in base64, by the path of the method. */
export async function startGrpcFloor(processes: Processes, answers: Answers): Promise<Floor> {
  return startFloor('grpc-answer', processes, answers);
}

/** An Express app that only answers: `answers` by the path of the route. */
export async function startExpressFloor(processes: Processes, answers: Answers): Promise<Floor> {
  return startFloor('express-answer', processes, answers);
}

async function startFloor(name: string, processes: Processes, answers: Answers): Promise<Floor> {
  const port = await getPort();
  const file = join(processes.folder, `${name}.json`);
  await writeFile(file, JSON.stringify(answers));
  const program = `bench/dist/floors/${name}.js`;
  return {
    address: `127.0.0.1:${port}`,
    processes: [processes.startNode(name, program, { args: [String(port), file] })],
  };
}
