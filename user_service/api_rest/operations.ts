import { requiredEmail } from '@messaging/service_kit/email';
import { nextPageToken, pageQuery } from '@messaging/service_kit/paging';
import { noContent, type Operation } from '@messaging/service_kit/rest/operation';
import { z } from 'zod';
import { newUser, userChanges } from '../domain/user.js';

const email = requiredEmail.meta({
  description: 'Spaces around it and its case make no difference',
  examples: ['alice@example.com'],
});
const userPath = z.object({ email });
const success = z.literal(true);
const message = z.string().meta({ description: 'For people' });
const outcome = z.object({ success, message });
const user = z.object({ email: z.string(), name: z.string() }).meta({ id: 'User' });
const noSuchUser = { notFound: 'There is no such user' };

export const createUser = {
  id: 'createUser',
  method: 'post',
  path: '/users',
  summary: 'Create a user, who is subscribed to notifications',
  input: z.object({ body: newUser }),
  success: { status: 201, description: 'The user was created', body: outcome },
  refusals: { invalid: 'A field is missing or not valid, or the email is registered already' },
} satisfies Operation;

export const listUsers = {
  id: 'listUsers',
  method: 'get',
  path: '/users',
  summary: 'List the users',
  input: z.object({ query: pageQuery }),
  success: {
    status: 200,
    description: 'A page of users',
    body: z.object({ success, message, users: z.array(user), next_page_token: nextPageToken }),
  },
} satisfies Operation;

export const getUser = {
  id: 'getUser',
  method: 'get',
  path: '/users/:email',
  summary: 'Read a user',
  input: z.object({ params: userPath }),
  success: { status: 200, description: 'The user', body: z.object({ success, message, user }) },
  refusals: noSuchUser,
} satisfies Operation;

const updated = { status: 200, description: 'The user was changed', body: outcome } as const;
const updateRefusals = {
  ...noSuchUser,
  invalid: 'A field is not valid or not known, or the new email is taken',
};

export const updateUser = {
  id: 'updateUser',
  method: 'put',
  path: '/users/:email',
  summary: 'Change a user',
  description: 'What the body leaves out stays as it is; it holds one field at the least.',
  input: z.object({ params: userPath, body: userChanges }),
  success: updated,
  refusals: updateRefusals,
} satisfies Operation;

export const updateNamedUser = {
  id: 'updateNamedUser',
  method: 'put',
  path: '/users/email',
  summary: 'Change the user that the body names',
  description:
    'The word `email` comes literally in the path. What `data` leaves out stays as it is; it holds one field at the least.',
  input: z.object({ body: z.strictObject({ email, data: userChanges }) }),
  success: updated,
  refusals: updateRefusals,
} satisfies Operation;

export const deleteUser = {
  id: 'deleteUser',
  method: 'delete',
  path: '/users/:email',
  summary: 'Delete a user',
  input: z.object({ params: userPath }),
  success: noContent('The user is gone'),
  refusals: noSuchUser,
} satisfies Operation;

export const deleteNamedUser = {
  id: 'deleteNamedUser',
  method: 'delete',
  path: '/users/email',
  summary: 'Delete the user that the body names',
  description: 'The word `email` comes literally in the path.',
  input: z.object({ body: z.object({ email }) }),
  success: noContent('The user is gone'),
  refusals: noSuchUser,
} satisfies Operation;

export const logIn = {
  id: 'logIn',
  method: 'post',
  path: '/login',
  summary: "Check a user's password",
  input: z.object({ body: z.object({ email, password: z.string().min(1, 'is required') }) }),
  success: { status: 200, description: 'The password is right', body: z.object({ success, message, user }) },
  refusals: { unauthenticated: 'The email or the password is wrong' },
} satisfies Operation;
