import { status } from '@grpc/grpc-js';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Account, grpc, newEmail, rest, signUp } from '../helpers/clients.js';
import { issuedTokens } from '../helpers/credentials.js';
import { expectInvalidArgument } from '../helpers/expectations.js';

let accounts: Account[];
let alice: Account;

beforeAll(async () => {
  const others = await Promise.all([signUp('bob'), signUp('carol')]);
  alice = await signUp('alice');
  accounts = [alice, ...others];
});

describe('AuthenticateUser', () => {
  it('says success to the right password, however the email is written', async () => {
    const { email, password } = alice;
    const reply = await grpc.users.AuthenticateUser({ email: ` ${email.toUpperCase()} `, password });
    expect(reply).toStrictEqual({ email, success: true, ...issuedTokens });
  });

  it('says success: false, with status OK, to a wrong password', async () => {
    const { email, password } = alice;
    for (const wrong of [`${password}!`, password.toUpperCase(), '', ` ${password}`]) {
      const reply = await grpc.users.AuthenticateUser({ email, password: wrong });
      expect(reply).toStrictEqual({ email, success: false });
    }
  });

  it('says success: false, with status OK, to an unknown user', async () => {
    const email = newEmail('nobody');
    const reply = await grpc.users.AuthenticateUser({ email, password: alice.password });
    expect(reply).toStrictEqual({ email, success: false });
  });

  it('says success: false to a password over 72 bytes, though its first 72 are right', async () => {
    const email = newEmail('dave');
    const password = 'é'.repeat(36);
    expect((await rest.users().post('/users').send({ email, password, name: 'Dave' })).status).toBe(201);
    const { AuthenticateUser } = grpc.users;
    expect(await AuthenticateUser({ email, password })).toMatchObject({ email, success: true });
    expect(await AuthenticateUser({ email, password: `${password}!` })).toStrictEqual({
      email,
      success: false,
    });
  });

  it('says success: false to nothing at all', async () => {
    expect(await grpc.users.AuthenticateUser({})).toMatchObject({ success: false });
  });
});

describe('CheckUserExists', () => {
  it('says that an account exists, however its email is written', async () => {
    for (const email of [alice.email, ` ${alice.email.toUpperCase()}\n`]) {
      expect(await grpc.users.CheckUserExists({ email })).toStrictEqual({ exists: true });
    }
  });

  it.each([newEmail('nobody'), '', 'not an address', 'a:b', '*'])('says that %j does not', async (email) => {
    expect(await grpc.users.CheckUserExists({ email })).toStrictEqual({ exists: false });
  });
});

describe('CheckUsersExist', () => {
  it('answers for each email in the order of the request, however it is written', async () => {
    const [first, second] = accounts;
    const emails = [newEmail('nobody'), ` ${alice.email.toUpperCase()}`, '', second?.email ?? '', 'a:b'];
    expect(await grpc.users.CheckUsersExist({ emails: [...emails, first?.email ?? ''] })).toStrictEqual({
      exists: [false, true, false, true, false, true],
    });
  });

  it('answers for none, and for 256', async () => {
    expect(await grpc.users.CheckUsersExist({})).toStrictEqual({ exists: [] });
    const emails = Array.from({ length: 256 }, (_, index) => (index % 2 ? alice.email : newEmail('nobody')));
    expect(await grpc.users.CheckUsersExist({ emails })).toStrictEqual({
      exists: emails.map((email) => email === alice.email),
    });
  });

  it('refuses more as INVALID_ARGUMENT', async () => {
    const emails = Array.from({ length: 257 }, () => alice.email);
    await expectInvalidArgument(
      grpc.users.CheckUsersExist({ emails }),
      /emails must be 256 items at the most/,
    );
  });
});

describe('CheckUsersExistStream', () => {
  it('answers each request by its number, refuses a bad one alone, and ends with its caller', async () => {
    const known = { number: 7, request: { emails: [alice.email, newEmail('nobody')] } };
    const tooMany = { number: 8, request: { emails: Array.from({ length: 257 }, () => alice.email) } };
    const none = { number: 9 };
    const replies = await grpc.users.CheckUsersExistStream([known, tooMany, none]);
    expect(replies.toSorted((one, other) => (one.number ?? 0) - (other.number ?? 0))).toStrictEqual([
      { number: 7, response: { exists: [true, false] } },
      {
        number: 8,
        code: status.INVALID_ARGUMENT,
        details: expect.stringMatching(/emails must be 256 items at the most/),
      },
      {
        number: 9,
        code: status.INVALID_ARGUMENT,
        details: expect.stringMatching(/is required/),
      },
    ]);
  });
});

describe('ListUsers', () => {
  it('takes google.protobuf.Empty and lists everyone once, without a password', async () => {
    const { users } = await grpc.users.ListUsers({});
    const emails = users.map((user) => user.email);
    expect(new Set(emails).size).toBe(emails.length);
    for (const { email, name } of accounts) {
      expect(users).toContainEqual({ email, name });
    }
    for (const user of users) expect(user).not.toHaveProperty('password');
  });
});

describe('GetUser', () => {
  it('answers with the account, and never its password', async () => {
    const { email, name } = await signUp('alice');
    expect(await grpc.users.GetUser({ email: ` ${email.toUpperCase()}` })).toStrictEqual({
      user: { email, name },
    });
  });

  it('answers NOT_FOUND where there is none', async () => {
    const call = grpc.users.GetUser({ email: newEmail('nobody') });
    await expect(call).rejects.toMatchObject({ code: status.NOT_FOUND });
    await expectInvalidArgument(grpc.users.GetUser({}), /email is required/);
  });
});

describe('ListUsersPage', () => {
  it('lists everyone once, a page at a time, to an empty next_page_token', async () => {
    const listed: unknown[] = [];
    let page_token = '';
    do {
      const page = await grpc.users.ListUsersPage({ page_size: 2, page_token });
      expect(page.users.length).toBeLessThanOrEqual(2);
      listed.push(...page.users);
      page_token = page.next_page_token ?? '';
    } while (page_token !== '');

    for (const { email, name } of accounts) {
      expect(listed.filter((user) => JSON.stringify(user).includes(email))).toStrictEqual([{ email, name }]);
    }
  });

  it('takes a page_size of 0 as unset', async () => {
    const { users } = await grpc.users.ListUsersPage({ page_size: 0 });
    expect(users.length).toBeGreaterThanOrEqual(accounts.length);
  });

  it('clamps a page_size above the maximum', async () => {
    const { users } = await grpc.users.ListUsersPage({ page_size: 2 ** 31 - 1 });
    expect(users.length).toBeGreaterThanOrEqual(accounts.length);
    expect(users.length).toBeLessThanOrEqual(500);
  });

  it('refuses a negative page_size and a bad page_token', async () => {
    const { next_page_token } = await grpc.users.ListUsersPage({ page_size: 1 });
    await expectInvalidArgument(grpc.users.ListUsersPage({ page_size: -1 }), /page_size/);
    for (const page_token of ['garbage', next_page_token?.slice(0, -1), `x${next_page_token}`]) {
      await expectInvalidArgument(grpc.users.ListUsersPage({ page_token: page_token ?? '' }), /page_token/);
    }
  });
});
