// The official client's Responses API. Usage: node openai_responses.mjs BASE_URL MODEL [BIAS_TO_CALL].
// Prints "ok NAME" for each check; exits with 1 at the first failure. With a bias, calls of functions are made, too.

import assert from 'node:assert/strict';
import {createRequire} from 'node:module';

const require = createRequire(import.meta.url);
globalThis.File ??= require('node:buffer').File;  // Node 18 has no global one
const OpenAI = require('openai').default;

const [baseURL, model, push] = process.argv.slice(2);
const client = new OpenAI({baseURL, apiKey: process.env.OPENAI_API_KEY ?? 'none', maxRetries: 0});
const base = {model, input: 'hello', max_output_tokens: 6};
const tool = {
  type: 'function', name: 'weather', strict: true, description: 'of a city',
  parameters: {
    type: 'object', required: ['city'], additionalProperties: false,
    properties: {city: {type: 'string', enum: ['Rome', 'Oslo']}},
  },
};

async function refused(body, param) {
  await assert.rejects(client.responses.create({...base, ...body}),
      (error) => error instanceof OpenAI.BadRequestError && error.param.startsWith(param));
}

const checks = {
  async 'a response is made'() {
    const response = await client.responses.create({...base, instructions: 'be kind', metadata: {run: '7'}});
    assert.equal(response.object, 'response');
    assert.ok(response.id.startsWith('resp_'));
    assert.equal(typeof response.output_text, 'string');
    assert.ok(response.usage.output_tokens > 0);
    assert.equal(response.output[0].content[0].type, 'output_text');
    assert.equal(response.status, 'incomplete');
    assert.deepEqual(response.incomplete_details, {reason: 'max_output_tokens'});
    assert.equal(response.usage.output_tokens, 6);
    assert.equal(response.usage.total_tokens, response.usage.input_tokens + 6);
    assert.deepEqual(response.metadata, {run: '7'});
    assert.equal(response.instructions, 'be kind');
    assert.equal(response.store, false);
  },

  async 'a conversation goes on with what was said'() {
    const first = await client.responses.create({...base, max_output_tokens: 100});
    assert.ok(['completed', 'incomplete'].includes(first.status));
    const next = await client.responses.create({
      ...base, input: [{role: 'user', content: 'hello'}, ...first.output, {role: 'user', content: [{type: 'input_text', text: 'go on'}]}],
    });
    assert.ok(next.usage.input_tokens > first.usage.input_tokens);
  },

  async 'its events come in order'() {
    const seen = [];
    let text = '', last = null;
    for await (const event of await client.responses.create({...base, stream: true})) {
      assert.equal(event.sequence_number, seen.length);
      seen.push(event.type);
      if (event.type === 'response.output_text.delta') text += event.delta;
      last = event;
    }
    const once = seen.filter((type, i) => type !== seen[i - 1]);
    assert.deepEqual(once, [
      'response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added',
      'response.output_text.delta', 'response.output_text.done', 'response.content_part.done', 'response.output_item.done',
      'response.incomplete',
    ]);
    assert.equal(last.response.output[0].content[0].text, text);
    assert.equal(last.response.usage.output_tokens, 6);
  },

  async 'the stream helper gathers them'() {
    let text = '';
    const stream = client.responses.stream(base);
    stream.on('response.output_text.delta', (event) => text += event.delta);
    const response = await stream.finalResponse();
    assert.equal(response.output[0].content[0].text, text);
  },

  async 'what is not supported is named'() {
    await refused({previous_response_id: 'resp_1'}, 'previous_response_id');
    await refused({tools: [{type: 'web_search'}]}, 'tools[0].type');
    await refused({input: [{type: 'item_reference', id: 'x'}]}, 'input[0].type');
    await refused({input: [{role: 'user', content: [{type: 'input_image', image_url: 'data:image/png;base64,AA=='}]}]},
        'input[0].content[0]');
    await assert.rejects(client.responses.create({...base, model: 'none'}), OpenAI.NotFoundError);
  },
};

if (push) Object.assign(checks, {
  async 'a schema is followed'() {
    const format = {type: 'json_schema', name: 'x', strict: true, schema: {
      type: 'object', required: ['ok'], additionalProperties: false, properties: {ok: {type: 'boolean'}},
    }};
    const response = await client.responses.create({...base, max_output_tokens: 300, text: {format}});
    assert.equal(typeof JSON.parse(response.output_text).ok, 'boolean');
  },

  async 'functions are called, and what they gave goes back'() {
    const body = {...base, max_output_tokens: 300, seed: 3, tools: [tool], tool_choice: 'required', logit_bias: JSON.parse(push)};
    const {output, status} = await client.responses.create(body);
    assert.equal(status, 'completed');
    const call = output.find((item) => item.type === 'function_call');
    assert.equal(call.name, 'weather');
    assert.ok(['Rome', 'Oslo'].includes(JSON.parse(call.arguments).city));
    const streamed = await client.responses.stream(body).finalResponse();
    assert.equal(streamed.output.find((item) => item.type === 'function_call').arguments, call.arguments);
    const after = await client.responses.create({
      ...body, tool_choice: 'none', max_output_tokens: 4,
      input: [{role: 'user', content: 'hello'}, ...output, {type: 'function_call_output', call_id: call.call_id, output: 'sunny'}],
    });
    assert.ok(after.output.every((item) => item.type === 'message'));
  },
});

for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok ${name}`);
  } catch (error) {
    console.error(`FAILED ${name}: ${error.stack}`);
    process.exit(1);
  }
}
