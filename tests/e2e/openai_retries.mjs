// How the official client takes failures: what it repeats, how long it waits, and which class of error it throws in the
// end; and that the server's answers make it do the right thing. A proxy between the two counts calls and fails by script.
// Usage: node openai_retries.mjs BASE_URL MODEL. Prints "ok NAME" for each check; exits with 1 at the first failure.

import assert from 'node:assert/strict';
import http from 'node:http';
import {createRequire} from 'node:module';

const require = createRequire(import.meta.url);
globalThis.File ??= require('node:buffer').File;  // Node 18 has no global one
const OpenAI = require('openai').default;

const [target, model] = process.argv.slice(2);
const messages = [{role: 'user', content: 'hello'}];

// What the next requests meet: an answer {status, headers}, 'forward' (also when the script is over), 'hang up',
// 'stall' (no answer at all), 'lose' (it arrives, its answer does not).
let script = [];
let calls = [];

function forward(request, body, then) {
  const {method, headers, url} = request;
  const onward = http.request(new URL(target).origin + url, {method, headers}, (answer) => {
    const pieces = [];
    answer.on('data', (piece) => pieces.push(piece));
    answer.on('end', () => then(answer, Buffer.concat(pieces)));
  });
  onward.end(body);
}

function answer(request, response, body) {
  const act = script.shift() ?? 'forward';
  calls.push({at: Date.now(), retry: request.headers['x-stainless-retry-count'], path: request.url});
  if (act === 'stall') return;
  if (act === 'hang up') return request.socket.destroy();
  if (act === 'lose') return forward(request, body, () => request.socket.destroy());
  if (act !== 'forward') {
    response.writeHead(act.status, {'content-type': 'application/json', ...act.headers});
    return response.end(JSON.stringify({error: {message: 'as scripted', type: 't', param: 'p', code: 'c'}}));
  }
  forward(request, body, ({statusCode, headers}, bytes) => response.writeHead(statusCode, headers).end(bytes));
}

const proxy = http.createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => answer(request, response, Buffer.concat(pieces)));
});
await new Promise((done) => proxy.listen(0, '127.0.0.1', done));
const baseURL = `http://127.0.0.1:${proxy.address().port}${new URL(target).pathname}`;
const client = new OpenAI({baseURL, apiKey: process.env.OPENAI_API_KEY ?? 'none'});

function play(...acts) {
  script = acts;
  calls = [];
}
const ask = (options) => client.chat.completions.create({model, messages, max_tokens: 2}, options);
const times = (count, act) => Array.from({length: count}, () => act);

async function fails(promise, kind, count) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.constructor, kind, `${error.constructor.name}: ${error.message}`);
    return true;
  });
  assert.equal(calls.length, count);
}

/** The pause before the second call, in ms. */
function pause() {
  return calls[1].at - calls[0].at;
}

const checks = {
  async 'what may pass is asked again'() {
    for (const status of [408, 409, 429, 500, 502, 503]) {
      play({status, headers: {'retry-after-ms': '1'}}, 'forward');
      assert.equal((await ask()).object, 'chat.completion');
      assert.deepEqual(calls.map((call) => call.retry), ['0', '1']);
    }
    play('hang up', 'forward');
    assert.equal((await ask()).object, 'chat.completion');
    assert.equal(calls.length, 2);
  },

  async 'what stays wrong is asked once, and every class of error is thrown'() {
    for (const [status, kind] of [
      [400, OpenAI.BadRequestError], [401, OpenAI.AuthenticationError], [403, OpenAI.PermissionDeniedError],
      [404, OpenAI.NotFoundError], [422, OpenAI.UnprocessableEntityError],
    ]) {
      play({status});
      await fails(ask(), kind, 1);
    }
    for (const [status, kind] of [
      [409, OpenAI.ConflictError], [429, OpenAI.RateLimitError], [500, OpenAI.InternalServerError],
      [503, OpenAI.InternalServerError],
    ]) {
      play(...times(3, {status, headers: {'retry-after-ms': '1'}}));
      await fails(ask(), kind, 3);
    }
    play(...times(2, 'hang up'));
    await fails(ask({maxRetries: 1}), OpenAI.APIConnectionError, 2);
    play(...times(2, 'stall'));
    await fails(ask({maxRetries: 1, timeout: 100}), OpenAI.APIConnectionTimeoutError, 2);
    play('stall');
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    await fails(ask({signal: controller.signal}), OpenAI.APIUserAbortError, 1);
  },

  async 'an error carries what the server said'() {
    play({status: 400, headers: {'x-request-id': 'req_1'}});
    await assert.rejects(ask(), (error) => {
      assert.deepEqual([error.status, error.type, error.param, error.code, error.requestID], [400, 't', 'p', 'c', 'req_1']);
      return error.message.includes('as scripted');
    });
  },

  async 'x-should-retry decides'() {
    for (const status of [409, 429, 500]) {
      play({status, headers: {'x-should-retry': 'false'}});
      await assert.rejects(ask(), {status});
      assert.equal(calls.length, 1);
    }
    play({status: 400, headers: {'x-should-retry': 'true', 'retry-after-ms': '1'}}, 'forward');
    await ask();
    assert.equal(calls.length, 2);
  },

  async 'the pause is what the server asks for'() {
    play({status: 429, headers: {'retry-after-ms': '150', 'retry-after': '50'}}, 'forward');
    await ask();
    assert.ok(pause() >= 140 && pause() < 1000, `${pause()} ms`);
    play({status: 429, headers: {'retry-after': '1'}}, 'forward');
    await ask();
    assert.ok(pause() >= 950 && pause() < 2000, `${pause()} ms`);
    play({status: 503, headers: {'retry-after': new Date(Date.now() + 2000).toUTCString()}}, 'forward');
    await ask();
    assert.ok(pause() >= 500 && pause() < 3000, `${pause()} ms`);
    play({status: 503, headers: {'retry-after': '61'}}, 'forward');  // too long: its own pause
    await ask();
    assert.ok(pause() >= 350 && pause() < 1500, `${pause()} ms`);
  },

  async 'a stream begins again before its first byte'() {
    play({status: 503, headers: {'retry-after-ms': '1'}}, 'forward');
    let text = '';
    for await (const chunk of await client.chat.completions.create({model, messages, max_tokens: 3, stream: true})) {
      text += chunk.choices[0]?.delta?.content ?? '';
    }
    assert.ok(text.length > 0);
    assert.equal(calls.length, 2);
  },

  async 'permanent conflicts of the server take one call'() {
    const made = await client.batches.create(
        {input_file_id: 'file-none', endpoint: '/v1/chat/completions', completion_window: '24h'},
        {headers: {'Idempotency-Key': 'one call'}});
    while ((await client.batches.retrieve(made.id)).status === 'validating') await new Promise((done) => setTimeout(done, 20));
    play();
    await fails(client.batches.cancel(made.id), OpenAI.ConflictError, 1);
    play();
    await fails(client.batches.create(
        {input_file_id: 'file-other', endpoint: '/v1/chat/completions', completion_window: '24h'},
        {headers: {'Idempotency-Key': 'one call'}}), OpenAI.ConflictError, 1);
    const upload = await client.uploads.create({bytes: 1, filename: 'a', mime_type: 'text/plain', purpose: 'user_data'});
    await client.uploads.cancel(upload.id);
    play();
    await fails(client.uploads.complete(upload.id, {part_ids: ['part_1']}), OpenAI.ConflictError, 1);
    play();
    await fails(client.files.retrieve('file-none'), OpenAI.NotFoundError, 1);
  },

  async 'an answer that is lost makes no second batch'() {
    const before = (await client.batches.list({limit: 100})).data.length;
    play('lose', 'forward');
    const batch = await client.batches.create(
        {input_file_id: 'file-none', endpoint: '/v1/chat/completions', completion_window: '24h', metadata: {lost: '1'}},
        {headers: {'Idempotency-Key': 'lost answer'}});
    assert.equal(calls.length, 2);
    const all = (await client.batches.list({limit: 100})).data;
    assert.equal(all.length, before + 1);
    assert.equal(all[0].id, batch.id);
  },

  async 'an upload is completed once though its answer is lost'() {
    const upload = await client.uploads.create({bytes: 2, filename: 'a', mime_type: 'text/plain', purpose: 'user_data'});
    const parts = [];
    for (const text of ['a', 'b']) {
      parts.push((await client.uploads.parts.create(upload.id, {data: new File([text], 'part')})).id);
    }
    play('lose', 'forward');
    const done = await client.uploads.complete(upload.id, {part_ids: parts});
    assert.equal(calls.length, 2);
    assert.equal(await (await client.files.content(done.file.id)).text(), 'ab');
    const named = (await client.files.list({purpose: 'user_data'})).data.filter((file) => file.filename === 'a');
    assert.equal(named.length, 1);
  },
};

for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok ${name}`);
  } catch (error) {
    console.error(`FAILED ${name}: ${error.stack}`);
    process.exit(1);
  }
}
process.exit(0);
