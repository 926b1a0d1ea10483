import bcrypt from 'bcrypt';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Account, grpc, newEmail, redis, rest, signUp } from '../helpers/clients.js';
import { issuedTokens } from '../helpers/credentials.js';
import { expectRefusal, expectSoon, parseJson } from '../helpers/expectations.js';

const BCRYPT_HASH = /^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/;

const storedUser = z.looseObject({ name: z.string(), email: z.string(), password: z.string() });
const userPage = z.object({
  success: z.literal(true),
  message: z.string().min(1),
  users: z.array(z.strictObject({ email: z.string(), name: z.string() })),
  next_page_token: z.string(),
});

const done = { success: true, message: expect.stringMatching(/\S/) };

const readUser = async (email: string) => parseJson(storedUser, await redis(0).get(`users:${email}`));
const create = (body: object) => rest.users().post('/users').send(body);
const logIn = (email: string, password: string) => rest.users().post('/login').send({ email, password });

const pathOf = (email: string) => `/users/${encodeURIComponent(email)}`;
const newUser = () => ({ email: newEmail('alice'), password: 'secret', name: 'Alice' });

/** An account that tests only read. */
let alice: Account;
beforeAll(async () => {
  alice = await signUp('alice');
});

describe('POST /users', () => {
  it('answers 201 with success and a message', async () => {
    const response = await create(newUser());
    expect(response.status).toBe(201);
    expect(response.body).toStrictEqual(done);
  });

  it('stores the name, the email and a bcrypt hash under users:{email}', async () => {
    const { email, name } = alice;
    expect(await redis(0).type(`users:${email}`)).toBe('string');
    expect(await readUser(email)).toMatchObject({
      name,
      email,
      password: expect.stringMatching(BCRYPT_HASH),
    });
  });

  it('subscribes the user to notifications', async () => {
    const { email } = alice;
    const subscription = async () => JSON.parse((await redis(2).hget('subscriptions', email)) ?? 'null');
    await expectSoon(subscription).toStrictEqual({ user_email: email, subscribed: true });
  });

  it('trims and lower-cases the email', async () => {
    const user = newUser();
    expect((await create({ ...user, email: `  ${user.email.toUpperCase()}\t` })).status).toBe(201);
    expect(await readUser(user.email)).toMatchObject({ email: user.email });
    expectRefusal(await create(user), 400, /registered/);
  });

  it('ignores unknown fields', async () => {
    const user = newUser();
    expect((await create({ ...user, admin: true })).status).toBe(201);
    expect(await readUser(user.email)).not.toHaveProperty('admin');
  });

  it.each(['email', 'password', 'name'])('answers 400 without %s', async (field) => {
    const user = newUser();
    for (const nothing of [undefined, null, '', ...(field === 'password' ? [] : ['  '])]) {
      expectRefusal(await create({ ...user, [field]: nothing }), 400, new RegExp(field));
    }
    expect(await redis(0).exists(`users:${user.email}`)).toBe(0);
  });

  it.each(['email', 'password', 'name'])('answers 400 to %s of another type', async (field) => {
    for (const value of [1, true, ['alice@example.com'], { $ne: '' }]) {
      expectRefusal(await create({ ...newUser(), [field]: value }), 400, new RegExp(field));
    }
  });

  it('answers 400 to a body that is no JSON object', async () => {
    for (const body of ['[]', '"alice@example.com"', 'null', '1', '']) {
      const request = rest.users().post('/users').set('Content-Type', 'application/json');
      expectRefusal(await request.send(body), 400);
    }
    expectRefusal(await rest.users().post('/users'), 400);
    expectRefusal(await rest.users().post('/users').type('form').send(newUser()), 400);
  });

  it.each([
    ['no at sign', 'alice'],
    ['no domain', 'alice@'],
    ['no local part', '@example.com'],
    ['a space inside', 'al ice@example.com'],
    ['a letter beyond ASCII', 'älice@example.com'],
    ['a domain beyond ASCII', 'alice@exämple.com'],
    ['a colon', 'al:ice@example.com'],
    ['a colon in quotes', '"al:ice"@example.com'],
    ['two at signs', 'alice@bob@example.com'],
  ])('answers 400 to an email with %s', async (_what, email) => {
    expectRefusal(await create({ ...newUser(), email }), 400, /email/);
    expect(await redis(0).exists(`users:${email}`)).toBe(0);
  });

  it('takes an email of 254 characters, and answers 400 to one of 255', async () => {
    const longest = newEmail('a'.repeat(254 - newEmail('').length));
    expect(longest).toHaveLength(254);
    expectRefusal(await create({ ...newUser(), email: `a${longest}` }), 400, /email/);
    expect((await create({ ...newUser(), email: longest })).status).toBe(201);
  });

  it('takes a password of 72 bytes, which is all that bcrypt reads, and answers 400 to a longer one', async () => {
    const user = newUser();
    expectRefusal(await create({ ...user, password: 'p'.repeat(73) }), 400, /password/);
    expectRefusal(await create({ ...user, password: 'é'.repeat(37) }), 400, /password/);
    expect((await create({ ...user, password: 'é'.repeat(36) })).status).toBe(201);
  });

  it('answers 400 when the email is registered already, and leaves that account as it is', async () => {
    const before = await readUser(alice.email);
    expectRefusal(await create({ ...newUser(), email: alice.email }), 400, /registered/);
    expect(await readUser(alice.email)).toStrictEqual(before);
  });

  it('creates one account of 8 simultaneous sign-ups with one email', async () => {
    const user = newUser();
    const answers = await Promise.all(Array.from({ length: 8 }, () => create(user)));
    const codes = answers.map((answer) => answer.status).toSorted((one, other) => one - other);
    expect(codes).toStrictEqual([201, 400, 400, 400, 400, 400, 400, 400]);
  });
});

const putNamed = (body: object) => rest.users().put('/users/email').send(body);
const putForms = [
  {
    form: 'PUT /users/email',
    put: (email: string, data: object) => putNamed({ email, data }),
  },
  {
    form: 'PUT /users/{email}',
    put: (email: string, data: object) => rest.users().put(pathOf(email)).send(data),
  },
];

describe.each(putForms)('$form', ({ put }) => {
  let email: string;
  beforeAll(async () => {
    ({ email } = await signUp('bob'));
  });

  it('changes the name and nothing else', async () => {
    const before = await readUser(email);
    const response = await put(email, { name: 'Alice the Second' });
    expect(response.status).toBe(200);
    expect(response.body).toStrictEqual(done);
    expect(await readUser(email)).toStrictEqual({ ...before, name: 'Alice the Second' });
  });

  it('never drops a field, not even one it does not know', async () => {
    const planted = { ...(await readUser(email)), since: { year: 2019 } };
    await redis(0).set(`users:${email}`, JSON.stringify(planted));
    expect((await put(email, { name: 'Renamed' })).status).toBe(200);
    expect(await readUser(email)).toStrictEqual({ ...planted, name: 'Renamed' });
  });

  it('hashes a changed password, which then logs in instead of the old one', async () => {
    const { email: own, password } = await signUp('carol');
    const before = await readUser(own);
    expect((await put(own, { password: 'a new secret' })).status).toBe(200);
    const after = await readUser(own);
    expect(after).toStrictEqual({ ...before, password: expect.stringMatching(BCRYPT_HASH) });
    expect(after.password).not.toBe(before.password);
    expect((await logIn(own, 'a new secret')).status).toBe(200);
    expectRefusal(await logIn(own, password), 401);
  });

  it('moves the record to a new email, trimmed and lower-cased', async () => {
    const { email: old, password, name } = await signUp('carol');
    const before = await readUser(old);
    const renamed = newEmail('renamed');
    expect((await put(old, { email: ` ${renamed.toUpperCase()} ` })).status).toBe(200);

    expect(await redis(0).exists(`users:${old}`)).toBe(0);
    expect(await readUser(renamed)).toStrictEqual({ ...before, email: renamed });
    expectRefusal(await rest.users().get(`/users/${old}`), 404);
    expect((await rest.users().get(`/users/${renamed}`)).body).toMatchObject({
      user: { email: renamed, name },
    });
    expect((await logIn(renamed, password)).status).toBe(200);
  });

  it('takes the email that the account has already, and trims and lower-cases whom it names', async () => {
    expect((await put(` ${email.toUpperCase()} `, { email: email.toUpperCase() })).status).toBe(200);
    expect(await readUser(email)).toMatchObject({ email });
  });

  it('answers 400 when the new email is taken, and changes neither account', async () => {
    const before = await Promise.all([readUser(email), readUser(alice.email)]);
    expectRefusal(await put(email, { email: alice.email, name: 'Mallory' }), 400, /registered/);
    expect(await Promise.all([readUser(email), readUser(alice.email)])).toStrictEqual(before);
  });

  it('answers 400 to invalid data, and changes nothing', async () => {
    const before = await readUser(email);
    const invalid = [
      {},
      { email: 'no address' },
      { email: 'al:ice@example.com' },
      { email: 'älice@example.com' },
      { email: `${'a'.repeat(243)}@example.com` },
      { email: null },
      { password: '' },
      { password: 'p'.repeat(73) },
      { password: 1 },
      { name: '' },
      { name: ['Alice'] },
      { name: 'Mallory', nickname: 'Mal' },
      { nickname: 'Mal' },
    ];
    for (const data of invalid) expectRefusal(await put(email, data), 400);
    expect(await readUser(email)).toStrictEqual(before);
  });

  it('answers 404 for no such user', async () => {
    expectRefusal(await put(newEmail('nobody'), { name: 'Nobody' }), 404);
  });
});

describe('PUT /users/email', () => {
  it('answers 400 without email or data, or with an unknown field beside them', async () => {
    const { email } = alice;
    expectRefusal(await putNamed({ data: { name: 'Alice' } }), 400, /email/);
    expectRefusal(await putNamed({ email }), 400, /data/);
    expectRefusal(await putNamed({ email, data: 'Alice' }), 400, /data/);
    expectRefusal(await putNamed({ email, data: { name: 'Alice' }, name: 'Alice' }), 400, /name/);
  });
});

const deleteForms = [
  {
    form: 'DELETE /users/email',
    remove: (email: string) => rest.users().delete('/users/email').send({ email }),
  },
  {
    form: 'DELETE /users/{email}',
    remove: (email: string) => rest.users().delete(pathOf(email)),
  },
];

describe.each(deleteForms)('$form', ({ remove }) => {
  it('answers 204 with no content, once; then 404', async () => {
    const { email, password } = await signUp('alice');
    const response = await remove(` ${email.toUpperCase()} `);
    expect(response.status).toBe(204);
    expect(response.text).toBe('');
    expect(await redis(0).exists(`users:${email}`)).toBe(0);
    expectRefusal(await remove(email), 404);
    expectRefusal(await rest.users().get(`/users/${email}`), 404);
    expectRefusal(await logIn(email, password), 401);
  });

  it('makes the email free for a new account', async () => {
    const { email } = await signUp('alice');
    await remove(email);
    const response = await create({ ...newUser(), email });
    expect(response.status).toBe(201);
  });

  it('answers 404 for no such user', async () => {
    expectRefusal(await remove(newEmail('nobody')), 404);
  });
});

describe('DELETE /users/email', () => {
  it('answers 400 when the body names no email', async () => {
    expectRefusal(await rest.users().delete('/users/email').send({}), 400, /email/);
    expectRefusal(await rest.users().delete('/users/email'), 400);
  });
});

describe('GET /users/{email}', () => {
  it('answers with the email and the name', async () => {
    const { email, name } = alice;
    const response = await rest.users().get(`/users/%20${email.toUpperCase()}`);
    expect(response.status).toBe(200);
    expect(response.body).toStrictEqual({ ...done, user: { email, name } });
  });

  it('answers 404 for no such user', async () => {
    expectRefusal(await rest.users().get(`/users/${newEmail('nobody')}`), 404);
    expectRefusal(await rest.users().get('/users/not-an-address'), 404);
  });
});

const getPage = async (query: Record<string, string>) => {
  const response = await rest.users().get('/users').query(query);
  expect(response.status, response.text).toBe(200);
  return userPage.parse(response.body);
};

describe('GET /users', () => {
  let accounts: Account[];
  beforeAll(async () => {
    accounts = [alice, ...(await Promise.all(['bob', 'carol', 'dave'].map(signUp)))];
  });

  it('lists everyone once, a page at a time, to an empty next_page_token', async () => {
    const emails: string[] = [];
    let page_token = '';
    do {
      const page = await getPage({ page_size: '3', page_token });
      expect(page.users.length).toBeLessThanOrEqual(3);
      emails.push(...page.users.map((user) => user.email));
      page_token = page.next_page_token;
    } while (page_token !== '');

    expect(emails).toStrictEqual(expect.arrayContaining(accounts.map((account) => account.email)));
    expect(new Set(emails).size).toBe(emails.length);
  });

  it.each(['', '?page_size=0', '?page_size=&page_token='])('takes %j as unset', async (query) => {
    const response = await rest.users().get(`/users${query}`);
    expect(response.status, response.text).toBe(200);
    expect(userPage.parse(response.body).users.length).toBeGreaterThanOrEqual(accounts.length);
  });

  it.each(['501', '2147483647', '99999999999'])('clamps a page_size of %s', async (page_size) => {
    const { users } = await getPage({ page_size });
    expect(users.length).toBeLessThanOrEqual(500);
  });

  it.each(['-1', 'many', '1.5'])('answers 400 to a page_size of %s', async (page_size) => {
    expectRefusal(await rest.users().get('/users').query({ page_size }), 400, /page_size/);
  });

  it('answers 400 to a bad page_token', async () => {
    const { next_page_token } = await getPage({ page_size: '1' });
    for (const page_token of ['garbage', next_page_token.slice(0, -1), `x${next_page_token}`]) {
      expectRefusal(await rest.users().get('/users').query({ page_token }), 400, /page_token/);
    }
  });
});

describe('POST /login', () => {
  it('answers 200 to the right password, however the email is written', async () => {
    const { email, password, name } = alice;
    const response = await logIn(` ${email.toUpperCase()} `, password);
    expect(response.status).toBe(200);
    expect(response.body).toStrictEqual({ ...done, user: { email, name }, ...issuedTokens });
  });

  it('answers 401, in the same words, to a wrong password and to an unknown user', async () => {
    const { email, password } = alice;
    const wrong = await logIn(email, `${password}!`);
    const unknown = await logIn(newEmail('nobody'), password);
    expectRefusal(wrong, 401);
    expectRefusal(unknown, 401);
    expect(wrong.text).toBe(unknown.text);
  });

  it('answers 400 without an email or a password', async () => {
    const { email, password } = alice;
    expectRefusal(await rest.users().post('/login').send({ password }), 400, /email/);
    expectRefusal(await rest.users().post('/login').send({ email }), 400, /password/);
  });
});

it.each(['REST', 'gRPC'])(
  'hashes a password anew that was hashed at a lower cost, on log-in by %s',
  async (door) => {
    const { email, password } = await signUp('olga');
    const record = {
      ...(await readUser(email)),
      password: await bcrypt.hash(password, 4),
      kept: 'as it is',
    };
    await redis(0).set(`users:${email}`, JSON.stringify(record));

    const logInBy = async (secret: string) =>
      door === 'REST'
        ? (await logIn(email, secret)).status === 200
        : (await grpc.users.AuthenticateUser({ email, password: secret })).success;
    expect(await logInBy(`${password}!`)).toBe(false);
    expect(await readUser(email)).toStrictEqual(record);
    expect(await logInBy(password)).toBe(true);
    const { password: hash, ...others } = await readUser(email);
    expect(others).toStrictEqual({ email, name: 'olga', kept: 'as it is' });
    expect(bcrypt.getRounds(hash)).toBeGreaterThanOrEqual(10);
    expect(await logInBy(password)).toBe(true);
    expect((await readUser(email)).password).toBe(hash);
  },
);

it('no answer ever holds a password or a hash', async () => {
  const { email, password, name } = await signUp('alice');
  const { password: hash } = await readUser(email);
  const changed = 'another secret';
  const answers = await Promise.all([
    create({ email, password, name }),
    create({ email: newEmail('bob'), password, name }),
    create({ password, name }),
    rest.users().get(`/users/${email}`),
    rest.users().get('/users').query({ page_size: '500' }),
    logIn(email, password),
    logIn(email, changed),
    rest.users().put(`/users/${email}`).send({ password, nickname: password, name: '' }),
  ]);
  answers.push(
    await rest.users().put(`/users/${email}`).send({ password: changed }),
    await rest
      .users()
      .put('/users/email')
      .send({ email, data: { password: changed, name } }),
    await rest.users().get(`/users/${email}`),
  );
  for (const { text } of answers) {
    expect(text).not.toContain(password);
    expect(text).not.toContain(changed);
    expect(text).not.toContain(hash);
    expect(text).not.toMatch(/\$2[aby]\$/);
    expect(text).not.toMatch(/"password"/);
  }
});

describe('what strict clients could not read', () => {
  it('is a 400: half a surrogate pair in a name', async () => {
    const response = await rest
      .users()
      .post('/users')
      .set('Content-Type', 'application/json')
      .send(`{"email":"${newEmail('half')}","password":"secret","name":"A\\ud83d"}`);
    expectRefusal(response, 400, /name/);
  });

  it('is a 400: a letter that only lower-casing makes an ASCII one', async () => {
    const email = newEmail('elvin').replace('elvin', '\u212aelvin');
    const response = await rest.users().post('/users').send({ email, password: 'secret', name: 'Kelvin' });
    expectRefusal(response, 400, /email/);
  });
});

describe('changes of one account by many at once', () => {
  it('are all made', async () => {
    const { email } = await signUp('busy');
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        rest
          .users()
          .put(`/users/${email}`)
          .send({ name: `name ${index}` }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  });
});
