import { beforeAll, describe, expect, it } from 'vitest';
import { newEmail, rest, sendMessage, signUp } from '../helpers/clients.js';
import { expectRefusal } from '../helpers/expectations.js';

const byQuery = (email: string) => rest.messages().get('/list_conversations').query({ email });
const byBody = (email: string) => rest.messages().get('/list_conversations').send({ email });

describe.each([
  { form: 'GET /list_conversations?email=', list: byQuery },
  { form: 'GET /list_conversations with a JSON body', list: byBody },
])('$form', ({ list }) => {
  let alice: string;
  let bob: string;
  let carol: string;

  beforeAll(async () => {
    const accounts = await Promise.all([signUp('alice'), signUp('bob'), signUp('carol')]);
    [alice, bob, carol] = [accounts[0].email, accounts[1].email, accounts[2].email];
    await sendMessage(alice, carol);
    await sendMessage(bob, alice);
  });

  it('answers with success and conversations, and no other key', async () => {
    const response = await list(bob);
    expect(response.status).toBe(200);
    expect(response.body).toStrictEqual({ success: true, conversations: [alice] });
  });

  it('lists the other party of each conversation, sent or received, the most recent first', async () => {
    // Whatever came before, these two are the most recent.
    await sendMessage(carol, alice);
    await sendMessage(alice, bob);
    expect((await list(alice)).body).toStrictEqual({ success: true, conversations: [bob, carol] });
    await sendMessage(alice, carol);
    expect((await list(alice)).body).toStrictEqual({ success: true, conversations: [carol, bob] });
  });

  it('trims and lower-cases the email', async () => {
    expect((await list(` ${bob.toUpperCase()} `)).body).toMatchObject({ conversations: [alice] });
  });

  it('lists nothing for someone without conversations', async () => {
    expect((await list(newEmail('nobody'))).body).toStrictEqual({ success: true, conversations: [] });
  });

  it('lists oneself after a message to oneself', async () => {
    const { email } = await signUp('dave');
    await sendMessage(email, email);
    expect((await list(email)).body).toStrictEqual({ success: true, conversations: [email] });
  });

  it('answers 400 to an empty email', async () => {
    expectRefusal(await list(''), 400, /email/);
    expectRefusal(await list('  '), 400, /email/);
  });
});

describe('GET /list_conversations', () => {
  it('answers 400 without an email', async () => {
    expectRefusal(await rest.messages().get('/list_conversations'), 400, /email/);
    expectRefusal(await rest.messages().get('/list_conversations').send({}), 400, /email/);
  });
});
