// The official client against a server: every call that a program makes of files, batches, models and completions.
// Usage: node openai_client.mjs BASE_URL MODEL. Prints "ok NAME" for each check; exits with 1 at the first failure.

import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {createRequire} from 'node:module';

const require = createRequire(import.meta.url);
globalThis.File ??= require('node:buffer').File;  // Node 18 has no global one
const OpenAI = require('openai').default;
const {toFile} = require('openai');

const [baseURL, model] = process.argv.slice(2);
const client = new OpenAI({baseURL, apiKey: process.env.OPENAI_API_KEY ?? 'none', maxRetries: 0});
const messages = [{role: 'user', content: 'hello'}];

const line = (id, more = {}) => JSON.stringify({
  custom_id: id, method: 'POST', url: '/v1/chat/completions',
  body: {model, messages, max_tokens: 3, ...more},
});
const upload = (text, purpose = 'batch') => toFile(Buffer.from(text), 'input.jsonl')
    .then((file) => client.files.create({file, purpose}));
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function ended(id) {
  for (;;) {
    const batch = await client.batches.retrieve(id);
    if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) return batch;
    await sleep(50);
  }
}

async function fails(promise, kind, status) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
    assert.equal(error.status, status);
    return true;
  });
}

const checks = {
  async 'a file goes up, is found, comes down and is deleted'() {
    const text = line('a') + '\n';
    const file = await upload(text);
    assert.equal(file.object, 'file');
    assert.equal(file.bytes, Buffer.byteLength(text));
    assert.equal(file.filename, 'input.jsonl');
    assert.equal(file.purpose, 'batch');
    assert.equal((await client.files.retrieve(file.id)).id, file.id);
    assert.equal((await client.files.waitForProcessing(file.id)).id, file.id);
    assert.equal(await (await client.files.content(file.id)).text(), text);
    assert.deepEqual(await client.files.delete(file.id), {id: file.id, object: 'file', deleted: true});
    await fails(client.files.retrieve(file.id), OpenAI.NotFoundError, 404);
  },

  async 'lists are iterated to their end'() {
    const made = [];
    for (let i = 0; i < 7; ++i) made.push((await upload(`text ${i}\n`, 'user_data')).id);
    const seen = [];
    for await (const file of client.files.list({limit: 2, purpose: 'user_data'})) seen.push(file.id);
    assert.deepEqual(seen, made.reverse());
    const oldest = [];
    for await (const file of client.files.list({limit: 3, purpose: 'user_data', order: 'asc'})) oldest.push(file.id);
    assert.deepEqual(oldest, [...seen].reverse());
  },

  async 'pages are turned by hand, and while files come and go'() {
    const made = [];
    for (let i = 0; i < 6; ++i) made.push((await upload(`page ${i}\n`, 'vision')).id);
    let page = await client.files.list({limit: 4, purpose: 'vision'});
    assert.ok(page.hasNextPage());
    page = await page.getNextPage();
    assert.deepEqual(page.data.map((file) => file.id), [made[1], made[0]]);
    assert.ok(!page.hasNextPage());
    const sizes = [];
    for await (const one of (await client.files.list({limit: 4, purpose: 'vision'})).iterPages()) sizes.push(one.data.length);
    assert.deepEqual(sizes, [4, 2]);
    const seen = [];
    for await (const file of client.files.list({limit: 1, purpose: 'vision'})) {
      seen.push(file.id);
      await client.files.delete(file.id);  // what the next page is asked behind
      if (seen.length < 3) await upload('newer\n', 'vision');
    }
    assert.deepEqual(seen, made.reverse());
  },

  async 'a file has a lifetime'() {
    const file = await client.files.create({
      file: await toFile(Buffer.from('x'), 'a.txt'), purpose: 'user_data',
      expires_after: {anchor: 'created_at', seconds: 3600},
    });
    assert.equal(file.expires_at, file.created_at + 3600);
  },

  async 'a file comes in parts'() {
    const lines = Array.from({length: 40}, (_, i) => line(`part-${i}`) + '\n').join('');
    const bytes = Buffer.from(lines);
    const made = await client.uploads.create({
      bytes: bytes.length, filename: 'parts.jsonl', mime_type: 'application/jsonl', purpose: 'batch',
    });
    assert.equal(made.object, 'upload');
    assert.equal(made.status, 'pending');
    assert.equal(made.expires_at, made.created_at + 3600);
    const pieces = [bytes.subarray(0, 1000), bytes.subarray(1000, 2000), bytes.subarray(2000)];
    const parts = await Promise.all(pieces.map(async (piece) => {
      const part = await client.uploads.parts.create(made.id, {data: await toFile(piece, 'part')});
      assert.equal(part.object, 'upload.part');
      assert.equal(part.upload_id, made.id);
      return part.id;
    }));
    const md5 = createHash('md5').update(bytes).digest('hex');
    const done = await client.uploads.complete(made.id, {part_ids: parts, md5});
    assert.equal(done.status, 'completed');
    assert.equal(done.file.object, 'file');
    assert.equal(await (await client.files.content(done.file.id)).text(), lines);
    const batch = await ended((await client.batches.create({
      input_file_id: done.file.id, endpoint: '/v1/chat/completions', completion_window: '24h',
    })).id);
    assert.deepEqual(batch.request_counts, {total: 40, completed: 40, failed: 0});
    const other = await client.uploads.create({bytes: 5, filename: 'a', mime_type: 'text/plain', purpose: 'user_data'});
    assert.equal((await client.uploads.cancel(other.id)).status, 'cancelled');
    await fails(client.uploads.parts.create(other.id, {data: await toFile(Buffer.from('x'), 'part')}),
                OpenAI.ConflictError, 409);
    await fails(client.uploads.complete('upload_none', {part_ids: ['part_1']}), OpenAI.NotFoundError, 404);
  },

  async 'a batch runs to its end'() {
    const ids = Array.from({length: 25}, (_, i) => `id-${i}`);
    const file = await upload(ids.map((id) => line(id)).join('\n') + '\n');
    const batch = await client.batches.create({
      input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h', metadata: {run: '7'},
    });
    assert.equal(batch.object, 'batch');
    assert.equal(batch.status, 'validating');
    assert.deepEqual(batch.request_counts, {total: 0, completed: 0, failed: 0});
    await client.files.delete(file.id);  // the server holds what it needs
    const done = await ended(batch.id);
    assert.equal(done.status, 'completed');
    assert.deepEqual(done.request_counts, {total: 25, completed: 25, failed: 0});
    assert.deepEqual(done.metadata, {run: '7'});
    assert.equal(done.error_file_id, null);
    assert.equal(done.usage.total_tokens, done.usage.input_tokens + done.usage.output_tokens);
    assert.ok(Number.isInteger(done.completed_at));
    const output = await (await client.files.content(done.output_file_id)).text();
    const lines = output.trimEnd().split('\n').map((one) => JSON.parse(one));
    assert.deepEqual(lines.map((one) => one.custom_id).sort(), ids.sort());
    for (const one of lines) {
      assert.equal(one.response.status_code, 200);
      assert.equal(one.response.body.object, 'chat.completion');
      assert.equal(one.error, null);
    }
  },

  async 'batches are iterated to their end'() {
    const made = [];
    for (let i = 0; i < 5; ++i) {
      made.push((await client.batches.create({
        input_file_id: 'file-none', endpoint: '/v1/chat/completions', completion_window: '24h',
      })).id);
    }
    const seen = [];
    for await (const batch of client.batches.list({limit: 2})) seen.push(batch.id);
    assert.deepEqual(seen.slice(0, 5), made.reverse());
    const failed = await ended(made[0]);
    assert.equal(failed.status, 'failed');
    assert.equal(failed.errors.data[0].param, 'file_id');
  },

  async 'other endpoints run as batches, too'() {
    for (const [endpoint, body] of [['/v1/completions', {prompt: 'one two', max_tokens: 2}], ['/v1/embeddings', {input: 'one'}]]) {
      const text = JSON.stringify({custom_id: 'a', method: 'POST', url: endpoint, body: {model, ...body}}) + '\n';
      const file = await upload(text);
      const done = await ended((await client.batches.create({
        input_file_id: file.id, endpoint, completion_window: '24h',
        output_expires_after: {anchor: 'created_at', seconds: 7200},
      })).id);
      assert.deepEqual(done.request_counts, {total: 1, completed: 1, failed: 0});
      const output = await client.files.retrieve(done.output_file_id);
      assert.equal(output.purpose, 'batch_output');
      assert.equal(output.expires_at, output.created_at + 7200);
      assert.deepEqual(await client.batches.retrieve(done.id), done);
    }
  },

  async 'one key is one batch'() {
    const body = {input_file_id: 'file-none', endpoint: '/v1/chat/completions', completion_window: '24h'};
    const made = await Promise.all([1, 2, 3].map(() => client.batches.create(body, {headers: {'Idempotency-Key': 'k'}})));
    assert.equal(new Set(made.map((batch) => batch.id)).size, 1);
    assert.equal((await client.batches.create({...body, idempotency_key: 'k'})).id, made[0].id);
    await assert.rejects(client.batches.create({...body, idempotency_key: 'k', metadata: {a: '1'}}),
        (error) => error instanceof OpenAI.ConflictError && error.message.includes('conflict'));
  },

  async 'bad lines are listed'() {
    const file = await upload([line('a'), '{', line('a'), line('b', {stream: true})].join('\n') + '\n');
    const done = await ended((await client.batches.create({
      input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h',
    })).id);
    assert.equal(done.status, 'failed');
    assert.deepEqual(done.errors.data.map((one) => one.line), [2, 3, 4]);
    assert.deepEqual(done.request_counts, {total: 0, completed: 0, failed: 0});
  },

  async 'a batch is cancelled, and only a live one'() {
    const file = await upload(Array.from({length: 3000}, (_, i) => line(`c-${i}`, {max_tokens: 200})).join('\n') + '\n');
    const batch = await client.batches.create({
      input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h',
    });
    const cancelling = await client.batches.cancel(batch.id);
    assert.equal(cancelling.status, 'cancelling');
    assert.ok(Number.isInteger(cancelling.cancelling_at));
    assert.equal((await ended(batch.id)).status, 'cancelled');
    assert.equal((await client.batches.cancel(batch.id)).status, 'cancelled');
    const other = await client.batches.create({
      input_file_id: 'file-none', endpoint: '/v1/chat/completions', completion_window: '24h',
    });
    await ended(other.id);
    await fails(client.batches.cancel(other.id), OpenAI.ConflictError, 409);
  },

  async 'a chat is answered'() {
    const {data, response} = await client.chat.completions.create({model, messages, max_tokens: 5}).withResponse();
    assert.equal(data.object, 'chat.completion');
    assert.equal(data.choices[0].message.role, 'assistant');
    assert.equal(data.usage.completion_tokens, 5);
    assert.ok(response.headers.get('x-request-id'));
  },

  async 'a chat is streamed'() {
    const stream = await client.chat.completions.create({
      model, messages, max_tokens: 8, stream: true, stream_options: {include_usage: true},
    });
    let text = '', reason = null, usage = null;
    for await (const chunk of stream) {
      assert.equal(chunk.object, 'chat.completion.chunk');
      text += chunk.choices[0]?.delta?.content ?? '';
      reason = chunk.choices[0]?.finish_reason ?? reason;
      usage = chunk.usage ?? usage;
    }
    assert.ok(text.length > 0);
    assert.equal(reason, 'length');
    assert.equal(usage.completion_tokens, 8);
    const whole = await client.chat.completions.stream({model, messages, max_tokens: 4}).finalChatCompletion();
    assert.equal(whole.choices[0].finish_reason, 'length');
  },

  async 'a stream that nobody reads is aborted'() {
    const stream = await client.chat.completions.create({model, messages, max_tokens: 2000, stream: true});
    for await (const chunk of stream) if (chunk) break;
    stream.controller.abort();
  },

  async 'a completion is answered, and streamed'() {
    const plain = await client.completions.create({model, prompt: 'one two', max_tokens: 3});
    assert.equal(plain.object, 'text_completion');
    let text = '';
    for await (const chunk of await client.completions.create({model, prompt: 'one two', max_tokens: 3, stream: true})) {
      text += chunk.choices[0]?.text ?? '';
    }
    assert.ok(plain.choices[0].text.length > 0);
    assert.ok(text.length > 0);
  },

  async 'texts are embedded'() {
    // The client asks for base64 and gives numbers.
    const {data, usage, model: named} = await client.embeddings.create({model, input: ['one', 'two', 'one']});
    assert.equal(named, model);
    assert.deepEqual(data.map((one) => one.index), [0, 1, 2]);
    assert.ok(data[0].embedding.length > 1 && data[0].embedding.every(Number.isFinite));
    assert.deepEqual([...data[0].embedding], [...data[2].embedding]);
    assert.equal(usage.total_tokens, usage.prompt_tokens);
    const plain = await client.embeddings.create({model, input: 'one', encoding_format: 'float', dimensions: 5});
    assert.equal(plain.data[0].embedding.length, 5);
    await fails(client.embeddings.create({model, input: ''}), OpenAI.BadRequestError, 400);
  },

  async 'models are listed'() {
    const models = [];
    for await (const one of client.models.list()) models.push(one.id);
    assert.ok(models.includes(model));
    assert.equal((await client.models.retrieve(model)).id, model);
    await fails(client.models.retrieve('none'), OpenAI.NotFoundError, 404);
  },

  async 'errors have their classes'() {
    await fails(client.chat.completions.create({model: 'none', messages}), OpenAI.NotFoundError, 404);
    await fails(client.chat.completions.create({model, messages: 'hello'}), OpenAI.BadRequestError, 400);
    await fails(client.batches.retrieve('batch_none'), OpenAI.NotFoundError, 404);
    await fails(client.batches.create({input_file_id: 'f', endpoint: '/v1/none', completion_window: '24h'}),
                OpenAI.BadRequestError, 400);
    await fails(client.batches.create({input_file_id: 'f', endpoint: '/v1/completions', completion_window: '1h'}),
                OpenAI.BadRequestError, 400);
    await fails(upload(''), OpenAI.BadRequestError, 400);
    if (client.apiKey === 'none') return;
    const asks = (options) => new OpenAI({baseURL, apiKey: client.apiKey, maxRetries: 0, ...options}).models.list();
    await fails(asks({apiKey: 'iq-wrong'}), OpenAI.AuthenticationError, 401);
    await fails(asks({baseURL: baseURL.replace('/v1', '/t/somebody-else/v1')}), OpenAI.PermissionDeniedError, 403);
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
