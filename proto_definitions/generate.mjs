// Writes what is derived from the .proto files: the TypeScript types into generated/, and the descriptors
// that server reflection serves into dist/. Does nothing while both are newer than every input.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loaderOptions } from './loader-options.mjs';

process.chdir(fileURLToPath(new URL('.', import.meta.url)));

const protoFiles = readdirSync('.').filter((name) => name.endsWith('.proto'));
const typesFolder = 'generated';
const descriptorSet = 'dist/descriptor-set.binpb';

/** @param {string} path */
const modifiedAt = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

const newestInput = Math.max(...[...protoFiles, 'generate.mjs', 'loader-options.mjs'].map(modifiedAt));
if (newestInput < Math.min(modifiedAt(`${typesFolder}/user.ts`), modifiedAt(descriptorSet))) process.exit();

/** @param {string} command @param {string[]} args */
const run = (command, ...args) =>
  execFileSync('npx', ['--no-install', command, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });

rmSync(typesFolder, { recursive: true, force: true });
run(
  'proto-loader-gen-types',
  ...Object.entries(loaderOptions).map(
    ([name, value]) => `--${name}=${typeof value === 'function' ? value.name : value}`,
  ),
  '--includeComments',
  '--grpcLib=@grpc/grpc-js',
  '--importFileExtension=.js',
  `--outDir=${typesFolder}`,
  ...protoFiles,
);

mkdirSync('dist', { recursive: true });
run('buf', 'build', '--as-file-descriptor-set', '--exclude-source-info', '--output', descriptorSet);
