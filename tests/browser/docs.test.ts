import { describe, expect, it } from 'vitest';
import { chromiumPath, expectShown, useBrowser } from '../helpers/browser.js';
import { addresses, rest } from '../helpers/clients.js';

describe.skipIf(chromiumPath === undefined)('the documentation', () => {
  const visit = useBrowser();

  it('of FrontendService lets someone sign up, sign in and read, with nothing from elsewhere', async () => {
    const address = addresses.frontend_service_api;
    const { page, account } = await visit(address, 'Ingrid');
    const elsewhere: string[] = [];
    page.on('request', (request) => {
      if (!/^(http:\/\/127\.0\.0\.1[:/]|data:)/.test(request.url())) elsewhere.push(request.url());
    });
    const { email, password, name } = account;

    /** Opens an operation, fills in its body, has it executed, and waits for the answer. */
    const execute = async (operationId: string, status: number, body?: unknown) => {
      const operation = page.locator(`[id$="-${operationId}"]`);
      await operation.locator('.opblock-summary-control').click();
      await operation.getByRole('button', { name: 'Try it out' }).click();
      if (body !== undefined) await operation.locator('textarea').fill(JSON.stringify(body));
      await operation.getByRole('button', { name: 'Execute' }).click();
      const answer = operation.locator('.live-responses-table .response');
      await expectShown(answer.getByText(String(status), { exact: true }));
      return answer;
    };

    await page.goto('/docs');
    await expectShown(page.getByRole('heading', { name: 'FrontendService' }));
    await execute('createUser', 201, { email, password, name });
    await execute('getSession', 401);
    await execute('logIn', 200, { email, password });
    await execute('listConversations', 200);
    expect((await rest.users().get(`/users/${email}`)).body).toMatchObject({ user: { email, name } });
    expect(await page.title()).toBe('FrontendService');
    expect(elsewhere).toEqual([]);
  });

  it.each(['user_service_api', 'message_service_api', 'notification_service_api'] as const)(
    'of %s shows its operations',
    async (process) => {
      const { page } = await visit(addresses[process], 'Ivan');
      await page.goto('/docs');
      await expectShown(page.locator('.opblock-summary').getByText('/readyz'));
    },
  );
});
