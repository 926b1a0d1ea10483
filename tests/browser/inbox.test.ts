import { EventEmitter, once } from 'node:events';
import type { Locator, Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { addresses, getMessagePages, grpc, rest, sendMessage, signUp } from '../helpers/clients.js';
import { chromiumPath, expectAccessible, expectShown, type Person, useBrowser } from '../helpers/browser.js';
import { expectSoon } from '../helpers/expectations.js';

const address = addresses.frontend_service_api;
const phone = { viewport: { width: 360, height: 740 } };

describe.skipIf(chromiumPath === undefined)('the page', () => {
  const visit = useBrowser();

  async function newPerson(name: string, options = {}): Promise<Person> {
    const person = await visit(address, name, options);
    await person.signUp();
    return person;
  }

  it('two people who have never seen it sign up and talk to each other live', async () => {
    const [alice, bob] = [await newPerson('Alice'), await newPerson('Bob')];
    await alice.page.getByRole('button', { name: 'New conversation' }).click();
    await alice.page.getByRole('textbox', { name: /email/i }).fill(bob.account.email);
    await alice.page.keyboard.press('Enter');
    await alice.write('Hello, Bob!');
    await alice.expectMessage('Hello, Bob!');

    // Bob has done nothing, and sees it.
    const row = bob.list.getByText(alice.account.email);
    await row.waitFor();
    await bob.bell.and(bob.page.getByRole('button', { name: /1/ })).waitFor();
    await expectSoon(() => bob.page.title()).toContain('(1)');
    await row.click();
    await bob.expectMessage('Hello, Bob!');
    await expectSoon(() => bob.page.title()).not.toContain('(1)');

    for (const [from, to, content] of [
      [bob, alice, 'Hello, Alice!'],
      [alice, bob, 'How are you?'],
      [bob, alice, 'Fine.'],
    ] as const) {
      await from.write(content);
      await to.expectMessage(content);
      await from.expectMessage(content);
    }
    expect(await alice.messages().count()).toBe(4);
    const stored = await getMessagePages({ user_email: alice.account.email });
    expect(stored.flat().map(({ content }) => content)).toEqual([
      'Hello, Bob!',
      'Hello, Alice!',
      'How are you?',
      'Fine.',
    ]);
    // What Bob has looked at is read, for all who ask.
    await expectSoon(() => grpc.notifications.CountUnread({ email: bob.account.email })).toEqual({
      unread: 0,
    });
  });

  it('keeps the session over a reload, and ends it with signing out', async () => {
    const carol = await newPerson('Carol');
    await carol.page.reload();
    await carol.list.waitFor();
    await carol.page.getByRole('button', { name: 'Sign out' }).click();
    await expectShown(carol.signInButton);
    await carol.page.reload();
    await expectShown(carol.signInButton);
    await carol.signIn();
  });

  it('asks to sign in again once the session is over, and then sends what was written', async () => {
    const [kurt, lena] = [await newPerson('Kurt'), await signUp('Lena')];
    await kurt.open(lena.email);
    const context = kurt.page.context();
    await context.setOffline(true);
    await kurt.write('just a moment too late');
    await expectShown(kurt.messages('just a moment too late', 'pending'));
    await context.clearCookies();
    await context.setOffline(false);
    await expectShown(kurt.page.getByText('Your session has ended'));
    await kurt.signIn();
    await expectShown(kurt.messages('just a moment too late', 'sent'));
    await kurt.expectMessage('just a moment too late');
    await rest.users().delete(`/users/${kurt.account.email}`).expect(204);
    await kurt.page.reload();
    await expectShown(kurt.signInButton);
  });

  it('shows nothing of one user to the next at the same browser', async () => {
    const [dave, erin] = [await newPerson('Dave'), await signUp('Erin')];
    await sendMessage(erin.email, dave.account.email, 'for Dave alone');
    await dave.list.getByText('for Dave alone').waitFor();
    await dave.page.getByRole('button', { name: 'Sign out' }).click();
    await dave.page.getByLabel('Email').fill(erin.email);
    await dave.page.getByLabel('Password').fill(erin.password);
    await dave.signInButton.click();
    await dave.list.getByText(dave.account.email).waitFor();
    const frank = await signUp('Frank');
    await sendMessage(frank.email, dave.account.email, 'another for Dave');
    await sendMessage(frank.email, erin.email, 'for Erin');
    await dave.list.getByText('for Erin').waitFor();
    expect(await dave.page.getByText('another for Dave').count()).toBe(0);
  });

  it('says what is wrong with what was filled in', async () => {
    const grace = await newPerson('Grace');
    const { email, password } = grace.account;
    await grace.page.getByRole('button', { name: 'Sign out' }).click();
    await grace.page.getByLabel('Email').fill(email);
    await grace.page.getByLabel('Password').fill('wrong');
    await grace.signInButton.click();
    await expectShown(grace.page.getByRole('alert').filter({ hasText: /wrong|incorrect|match/i }));

    await grace.page.getByRole('button', { name: 'I am new here' }).click();
    await grace.page.getByLabel('Name').fill('Another Grace');
    await grace.page.getByLabel('Email').fill(email);
    await grace.page.getByLabel('Password').fill(password);
    await grace.page.getByRole('button', { name: 'Create account' }).click();
    await expectShown(grace.page.getByRole('alert').filter({ hasText: /already/i }));
    expect(await grace.page.getByLabel('Email').inputValue()).toBe(email);
  });

  it('shows what looks like markup as the text that it is', async () => {
    const attempts = [
      '<img src=x onerror="alert(1)">',
      '<script>alert(1)</script>',
      '"><svg onload=alert(1)>',
      'javascript:alert(1)',
      '{{constructor.constructor("alert(1)")()}}',
      '</textarea><b>bold</b>',
    ];
    const heidi = await visit(address, 'Heidi');
    heidi.account.name = attempts[0] ?? '';
    // All that an address may hold of what means something elsewhere.
    heidi.account.email = `o'${heidi.account.email.replace('@', "&'`{}|*+/=?^$#!%~@")}`;
    await heidi.signUp();
    const ivan = await newPerson('Ivan');
    await ivan.open(heidi.account.email);
    await heidi.open(ivan.account.email);
    for (const content of attempts) {
      await ivan.write(content);
      await ivan.expectMessage(content);
      await heidi.expectMessage(content);
    }
    for (const { page, thread } of [heidi, ivan]) {
      expect(await thread.locator('img, script, svg, b, a[href^="javascript:"]').count()).toBe(0);
      await page.reload();
      await page
        .getByText(attempts.at(-1) ?? '')
        .first()
        .waitFor();
    }
    await ivan.list.getByText(heidi.account.email).waitFor();
  });

  it('keeps seven tabs of one browser live', async () => {
    const judy = await newPerson('Judy');
    const others = await Promise.all(Array.from({ length: 6 }, () => judy.page.context().newPage()));
    for (const tab of others) {
      await tab.goto('/');
      await tab.getByRole('navigation', { name: 'Conversations' }).waitFor();
    }
    const kim = await signUp('Kim');
    await sendMessage(kim.email, judy.account.email, 'to all of you');
    for (const tab of [judy.page, ...others]) await expectShown(tab.getByText('to all of you'));
    await judy.page.close();
    await sendMessage(kim.email, judy.account.email, 'to those who are left');
    for (const tab of others) await expectShown(tab.getByText('to those who are left'));
  });

  it('shows in one tab what was sent in another, and ends the session in all', async () => {
    const leo = await newPerson('Leo');
    const mia = await signUp('Mia');
    const tab = await leo.page.context().newPage();
    await tab.goto(`/#${encodeURIComponent(mia.email)}`);
    await leo.open(mia.email);
    await leo.write('from one tab');
    await leo.expectMessage('from one tab');
    await expectShown(tab.getByRole('log').getByText('from one tab', { exact: true }));
    await leo.page.getByRole('button', { name: 'Sign out' }).click();
    await expectShown(tab.getByRole('button', { name: 'Sign in', exact: true }));
  });

  it('opens a long conversation at its end, and loads upwards', async () => {
    const noah = await newPerson('Noah');
    const olga = await signUp('Olga');
    const COUNT = 130;
    for (let number = 1; number <= COUNT; number++) {
      await sendMessage(olga.email, noah.account.email, `message ${number}`);
    }
    await noah.open(olga.email);
    await noah.expectMessage(`message ${COUNT}`);
    await expectSoon(() => isInView(noah.page, noah.messages(`message ${COUNT}`))).toBe(true);
    expect(await noah.messages('message 1').count()).toBe(0);
    await expectSoon(async () => {
      await noah.messages().first().scrollIntoViewIfNeeded();
      return noah.messages('message 1').count();
    }).toBe(1);
    const ids = await noah.thread
      .locator('[data-message-id]')
      .evaluateAll((all) => all.map((element) => Number(element.getAttribute('data-message-id'))));
    expect(ids).toHaveLength(COUNT);
    expect(ids).toEqual(ids.toSorted((one, other) => one - other));
  });

  it('shows a message as pending until it is acknowledged, and sends it once', async () => {
    const peter = await newPerson('Peter');
    const quinn = await signUp('Quinn');
    await peter.open(quinn.email);
    const seen = new EventEmitter();
    const isSeen = once(seen, 'pending');
    let requests = 0;
    await peter.page.route('**/messages', async (route) => {
      if (route.request().method() !== 'POST') return route.continue();
      requests++;
      // The first answer gets lost, after the message was stored.
      await route.fetch();
      await isSeen;
      return requests === 1 ? route.abort() : route.continue();
    });
    await peter.write('only once');
    await expectShown(peter.messages('only once', 'pending'));
    seen.emit('pending');
    await expectShown(peter.messages('only once', 'sent'));
    expect(requests).toBeGreaterThan(1);
    await peter.expectMessage('only once');
    expect((await getMessagePages({ user_email: quinn.email })).flat()).toHaveLength(1);
  });

  it('says that a message did not get through, and keeps it', async () => {
    const rose = await newPerson('Rose');
    await rose.open('nobody-at-all@example.com');
    await rose.write('is anybody there?');
    await expectShown(rose.messages('is anybody there?', 'failed'));
    await expectShown(rose.thread.getByRole('button', { name: 'Try again' }));
  });

  it('switches notifications off and on', async () => {
    const sam = await newPerson('Sam');
    await sam.bell.click();
    const toggle = sam.page.getByRole('switch', { name: 'Notify me' });
    await toggle.click();
    const isSubscribed = () => grpc.notifications.CheckUserSubscribed({ email: sam.account.email });
    await expectSoon(isSubscribed).toEqual({ subscribed: false });
    await toggle.click();
    await expectSoon(isSubscribed).toEqual({ subscribed: true });
    expect(await toggle.getAttribute('aria-checked')).toBe('true');
    await sam.page.keyboard.press('Escape');
    await toggle.waitFor({ state: 'hidden' });
    await expectShown(sam.bell.and(sam.page.locator(':focus')));
  });

  it('lists the notifications, and marks them read', async () => {
    const tina = await newPerson('Tina');
    const udo = await signUp('Udo');
    for (let count = 0; count < 3; count++) await sendMessage(udo.email, tina.account.email);
    await tina.page.getByRole('button', { name: /^Notifications.*3/ }).waitFor();
    await tina.bell.click();
    await tina.page.getByRole('button', { name: /mark all/i }).click();
    await expectSoon(() => grpc.notifications.CountUnread({ email: tina.account.email })).toEqual({
      unread: 0,
    });
    await expectSoon(() => tina.bell.getAttribute('aria-label')).not.toMatch(/3/);
  });

  it('shows a notification on the desktop, once, while nobody looks at the page', async () => {
    const victor = await visit(address, 'Victor');
    const context = victor.page.context();
    await context.grantPermissions(['notifications'], { origin: `http://${address}` });
    // Pages of a browser without a screen are all visible: these say that they are not, and keep what they show.
    await context.addInitScript(`
      Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
      window.notified = [];
      window.Notification = class extends Notification {
        constructor(title, options) {
          super(title, options);
          window.notified.push([title, options.tag]);
        }
      };
    `);
    await victor.signUp();
    const walter = await signUp('Walter');
    await sendMessage(walter.email, victor.account.email);
    await expectSoon(() => victor.page.evaluate('window.notified')).toEqual([
      [`${walter.email.toLowerCase()} wrote to you`, '1'],
    ]);
  });

  it('speaks the language of the browser', async () => {
    const visitor = await visit(address, 'Vera', { locale: 'es-ES' });
    await visitor.page.goto('/');
    await visitor.page.getByLabel('Contraseña').waitFor();
    expect(await visitor.page.locator('html').getAttribute('lang')).toBe('es');
  });

  describe.each([
    ['a phone', phone],
    ['a desktop', { viewport: { width: 1280, height: 800 } }],
  ])('on %s', (_device, device) => {
    it.each(['light', 'dark'] as const)('axe finds nothing to object to, %s', async (colorScheme) => {
      const wendy = await visit(address, 'Wendy', { ...device, colorScheme });
      await wendy.page.goto('/');
      await wendy.page.getByLabel('Email').waitFor();
      await expectAccessible(wendy.page);
      await wendy.signUp();
      await expectAccessible(wendy.page);
      const xavier = await signUp('Xavier');
      await sendMessage(xavier.email, wendy.account.email, 'Hello, Wendy!');
      await wendy.bell.click();
      await wendy.page.getByRole('switch').waitFor();
      await expectAccessible(wendy.page);
      await wendy.page.keyboard.press('Escape');
      await wendy.open(xavier.email);
      await wendy.expectMessage('Hello, Wendy!');
      await wendy.write('x'.repeat(2_000));
      await wendy.write('https://example.com 🙂 مرحبا');
      await wendy.expectMessage('https://example.com 🙂 مرحبا');
      await expectAccessible(wendy.page);
      const width = await wendy.page.evaluate('document.documentElement.scrollWidth');
      expect(width).toBeLessThanOrEqual(device.viewport.width);
    });
  });

  it('is usable on a phone: from the list to a conversation, and back', async () => {
    const yves = await newPerson('Yves', phone);
    const zoe = await signUp('Zoe');
    await sendMessage(zoe.email, yves.account.email, 'Hello, Yves!');
    await yves.list.getByText('Hello, Yves!').click();
    await yves.expectMessage('Hello, Yves!');
    expect(await yves.list.isVisible()).toBe(false);
    await yves.write('Hello, Zoe!');
    await yves.expectMessage('Hello, Zoe!');
    await yves.page.goBack();
    await yves.list.waitFor();
  });

  it('asks the server for nothing but what is its own', async () => {
    const visitor = await visit(address, 'Ana');
    const hosts = new Set<string>();
    visitor.page.on('request', (request) => hosts.add(new URL(request.url()).host));
    await visitor.signUp();
    expect([...hosts]).toEqual([address]);
    expect((await rest.frontend().get('/readyz')).status).toBe(200);
  });
});

async function isInView(page: Page, locator: Locator): Promise<boolean> {
  const box = await locator.boundingBox();
  const { height } = page.viewportSize() ?? { height: 0 };
  return box !== null && box.y >= 0 && box.y + box.height <= height;
}
