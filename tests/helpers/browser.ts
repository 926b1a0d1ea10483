import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { z } from 'zod';
import { type Account, newEmail } from './clients.js';
import { findOnPath } from './programs.js';

const UI_TIMEOUT_MS = 20_000;

/** The browser that the tests drive: whichever Chromium is installed; undefined where there is none. */
export const chromiumPath = findOnPath(['chromium', 'chromium-browser', 'google-chrome']);

/** One person at a browser of their own, at the page of one suite. */
export class Person {
  constructor(
    readonly account: Account,
    readonly page: Page,
  ) {}

  /** Opens the page and signs up. */
  async signUp(): Promise<void> {
    await this.page.goto('/');
    await this.page.getByRole('button', { name: 'I am new here' }).click();
    await this.page.getByLabel('Name').fill(this.account.name);
    await this.fillCredentials();
    await this.page.getByRole('button', { name: 'Create account' }).click();
    await this.list.waitFor();
  }

  /** Signs in where the form is shown. */
  async signIn(): Promise<void> {
    await this.fillCredentials();
    await this.signInButton.click();
    await this.list.waitFor();
  }

  /** Opens the conversation with someone, whether there is one yet or not. */
  async open(email: string): Promise<void> {
    await this.page.goto(`/#${encodeURIComponent(email)}`);
    await this.composer.waitFor();
  }

  async write(content: string): Promise<void> {
    await this.composer.fill(content);
    await this.composer.press('Enter');
  }

  get list(): Locator {
    return this.page.getByRole('navigation', { name: 'Conversations' });
  }

  get composer(): Locator {
    return this.page.getByRole('textbox', { name: 'Message' });
  }

  get bell(): Locator {
    return this.page.getByRole('button', { name: /^Notifications/ });
  }

  get signInButton(): Locator {
    return this.page.getByRole('button', { name: 'Sign in', exact: true });
  }

  get thread(): Locator {
    return this.page.getByRole('log');
  }

  /** The messages of the open thread, or those of them that say exactly this, and are in this state. */
  messages(content?: string, state?: 'pending' | 'failed' | 'sent'): Locator {
    const all = this.thread.locator(state === undefined ? '[data-state]' : `[data-state=${state}]`);
    return content === undefined ? all : all.filter({ has: this.page.getByText(content, { exact: true }) });
  }

  /** Expects a message to be there, now or soon, and once. */
  async expectMessage(content: string): Promise<void> {
    await this.messages(content).first().waitFor();
    expect(await this.messages(content).count(), content).toBe(1);
  }

  private async fillCredentials(): Promise<void> {
    await this.page.getByLabel('Email').fill(this.account.email);
    await this.page.getByLabel('Password').fill(this.account.password);
  }
}

/** Has a file's tests share a browser, and each open what it needs, which is closed after it. */
export function useBrowser() {
  let browser: Browser;
  /** What went wrong in a page: scripts that threw, and what its policy refused. */
  const problems: string[] = [];

  beforeAll(async () => {
    browser = await chromium.launch({
      ...(chromiumPath === undefined ? {} : { executablePath: chromiumPath }),
      // The tests may run as root, and in a container with a small /dev/shm.
      args: ['--no-sandbox', '--disable-dev-shm-usage'],
    });
  });
  afterEach(async () => {
    await Promise.all(browser.contexts().map(async (context) => context.close()));
    expect(problems.splice(0)).toEqual([]);
  });
  afterAll(async () => browser.close());

  /** Opens a browser window of its own for a person. */
  return async (address: string, name: string, options: BrowserContextOptions = {}): Promise<Person> => {
    const context = await browser.newContext({ baseURL: `http://${address}`, locale: 'en-GB', ...options });
    context.setDefaultTimeout(UI_TIMEOUT_MS);
    context.on('page', (page) => {
      page.on('pageerror', (error) => problems.push(error.message));
      page.on('console', (message) => {
        if (message.text().includes('Content Security Policy')) problems.push(message.text());
      });
      page.on('dialog', (dialog) => {
        if (dialog.type() !== 'beforeunload') problems.push(`dialog: ${dialog.message()}`);
        void dialog.accept();
      });
    });
    const account = { email: newEmail(name.toLowerCase()), password: `the secret of ${name}`, name };
    return new Person(account, await context.newPage());
  };
}

/** Expects something to be there to see, now or soon. */
export async function expectShown(locator: Locator): Promise<void> {
  await locator.first().waitFor();
}

/** Expects something to be gone, now or soon. */
export async function expectHidden(locator: Locator): Promise<void> {
  await locator.waitFor({ state: 'hidden' });
}

const axeResults = z.object({
  violations: z.array(
    z.object({
      id: z.string(),
      impact: z.string().nullish(),
      nodes: z.array(z.object({ html: z.string() })),
    }),
  ),
});
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Expects axe to find nothing that keeps people out. */
export async function expectAccessible(page: Page): Promise<void> {
  // The page's policy lets no script in that is not its own; this one comes by the debugger, which is not asked.
  await page.evaluate(axe);
  const results = axeResults.parse(await page.evaluate('axe.run(document)'));
  expect(
    results.violations.map(({ id, impact, nodes }) => `${id} (${impact}): ${nodes[0]?.html}`),
    page.url(),
  ).toEqual([]);
}
