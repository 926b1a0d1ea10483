// Writes what is derived from the .proto files: the TypeScript types into generated/, and the descriptors
// that server reflection serves into dist/. Does nothing while both are newer than every input.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { protoPath as healthProto } from 'grpc-health-check';
import { loaderOptions } from './loader-options.mjs';

process.chdir(fileURLToPath(new URL('.', import.meta.url)));

const protoFiles = readdirSync('.').filter((name) => name.endsWith('.proto'));
const typesFolder = 'generated';
const descriptorSet = 'dist/descriptor-set.binpb';

/** @param {string} path */
const modifiedAt = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

const newestInput = Math.max(...[...protoFiles, 'generate.mjs', 'loader-options.mjs'].map(modifiedAt));
if (newestInput < Math.min(modifiedAt(`${typesFolder}/user.ts`), modifiedAt(descriptorSet))) process.exit();

/**
 * @param {string} command
 * @param {string[]} args
 */
const run = (command, ...args) =>
  execFileSync('npx', ['--no-install', command, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });

/** @param {string} folder */
const describe = (folder) =>
  run('buf', 'build', folder, '--as-file-descriptor-set', '--exclude-source-info', '--output', '-');

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

// Health is described, too: every port serves it. Serialized descriptor sets that follow each other are one set.
const healthFolder = resolve(dirname(healthProto), '../..');
mkdirSync('dist', { recursive: true });
writeFileSync(descriptorSet, Buffer.concat([describe('.'), describe(healthFolder)]));
