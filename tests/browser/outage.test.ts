import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chromiumPath, expectHidden, expectShown, type Person, useBrowser } from '../helpers/browser.js';
import { connect } from '../helpers/clients.js';
import { MESSAGE_CHAIN, type ProcessName, Suite } from '../helpers/suite.js';

const reconnecting = ({ page }: Person) => page.getByRole('status').filter({ hasText: /reconnecting/i });

describe.skipIf(chromiumPath === undefined)('the page, while services are away', () => {
  const visit = useBrowser();
  let suite: Suite;
  let clients: ReturnType<typeof connect>;
  let alice: Person;
  let bob: Person;

  beforeAll(async () => {
    suite = await Suite.start({
      processes: [...MESSAGE_CHAIN, 'frontend_service_api'],
      environment: { PEER_TIMEOUT_MS: '1500' },
    });
    clients = connect(suite.addresses, suite.redis);
  });

  afterAll(async () => {
    clients.close();
    await suite.stop();
  });

  beforeEach(async () => {
    for (const running of suite.running) if (!running.isRunning) await running.restart();
    await suite.waitUntilReady();
    alice = await visit(suite.addresses.frontend_service_api, 'Alice');
    bob = await visit(suite.addresses.frontend_service_api, 'Bob');
    await alice.signUp();
    await bob.signUp();
    await alice.open(bob.account.email);
    await bob.open(alice.account.email);
    await alice.write('before');
    await bob.expectMessage('before');
  });

  async function takeAway(name: ProcessName): Promise<void> {
    suite.process(name).kill('SIGKILL');
    await suite.process(name).exited;
  }

  it('misses and doubles nothing while frontend_service_grpc is away', async () => {
    await takeAway('frontend_service_grpc');
    await expectShown(reconnecting(bob));
    for (const content of ['one', 'two', 'three']) {
      await alice.write(content);
      await expectShown(alice.messages(content, 'sent'));
    }
    await suite.process('frontend_service_grpc').restart();
    await expectHidden(reconnecting(bob));
    for (const content of ['one', 'two', 'three']) await bob.expectMessage(content);
    await bob.write('four');
    await alice.expectMessage('four');
    expect([await alice.messages().count(), await bob.messages().count()]).toEqual([5, 5]);
  });

  it('sends what was written while frontend_service_api was away, once it is back, and once', async () => {
    await takeAway('frontend_service_api');
    await expectShown(reconnecting(alice));
    await alice.write('written offline');
    await expectShown(alice.messages('written offline', 'pending'));
    // Others go on meanwhile.
    const message = {
      sender_email: bob.account.email,
      receiver_email: alice.account.email,
      content: 'from elsewhere',
    };
    expect(await clients.grpc.messages.SendMessage({ message })).toMatchObject({ success: true });

    await suite.process('frontend_service_api').restart();
    await expectShown(alice.messages('written offline', 'sent'));
    await expectHidden(reconnecting(alice));
    await bob.expectMessage('written offline');
    await alice.expectMessage('from elsewhere');
    expect([await alice.messages().count(), await bob.messages().count()]).toEqual([3, 3]);
    await alice.page.reload();
    await alice.expectMessage('written offline');
  });

  it('says that a list could not be loaded, and loads it when asked again', async () => {
    await takeAway('message_service_grpc');
    await bob.page.reload();
    const retry = bob.page.getByRole('button', { name: 'Try again' }).first();
    await retry.waitFor();
    await suite.process('message_service_grpc').restart();
    await suite.waitUntilReady();
    await expect
      .poll(
        async () => {
          if (await retry.isVisible()) await retry.click();
          return bob.messages('before').count();
        },
        { timeout: 20_000 },
      )
      .toBe(1);
  });

  it('notices that a connection is dead that looks open', async () => {
    suite.process('frontend_service_api').kill('SIGSTOP');
    await reconnecting(bob).waitFor({ timeout: 60_000 });
    const message = {
      sender_email: alice.account.email,
      receiver_email: bob.account.email,
      content: 'meanwhile',
    };
    expect(await clients.grpc.messages.SendMessage({ message })).toMatchObject({ success: true });
    suite.process('frontend_service_api').kill('SIGCONT');
    await expectHidden(reconnecting(bob));
    await bob.expectMessage('meanwhile');
  }, 90_000);
});
