// An Express app that only answers, always the same: the least that a request can cost here.
// node express-answer.js PORT ANSWERS_FILE
import { readFileSync } from 'node:fs';
import express from 'express';
import { answersSchema } from './answers.js';

const [port = '', file = ''] = process.argv.slice(2);
const answers = answersSchema.parse(JSON.parse(readFileSync(file, 'utf8')));

const app = express();
for (const [path, body] of Object.entries(answers)) {
  app.get(path, (_request, response) => {
    response.type('json').send(body);
  });
}
app.listen(Number(port), '127.0.0.1', (error) => {
  if (error) throw error;
});
