import type { Command as BaseCommand } from '@commander-js/extra-typings';
import type { ExitCode } from './errors.js';
import type { Output } from './output.js';
import type { SuiteClients } from './suite-clients.js';

/** What a command does. It may end with another exit code than 0. */
export type Work = (suite: SuiteClients, output: Output) => Promise<ExitCode | void>;

/** Does a command's work, says what fails, and ends what it began. */
export type Run = (work: Work) => Promise<void>;

/** Where commands are added. */
export type Parent = BaseCommand<[], { json?: true }>;
