// The official client reads what a local model's answers can look like: schemas, tools, logprobs, several choices.
// Usage: node openai_answers.mjs BASE_URL MODEL BIAS_TO_CALL. Prints "ok NAME" for each check; exits with 1 at the first failure.

import assert from 'node:assert/strict';
import {createRequire} from 'node:module';

const require = createRequire(import.meta.url);
globalThis.File ??= require('node:buffer').File;  // Node 18 has no global one
const OpenAI = require('openai').default;

const [baseURL, model, push] = process.argv.slice(2);
const client = new OpenAI({baseURL, apiKey: 'none', maxRetries: 0});
const base = {model, messages: [{role: 'user', content: 'hello'}], max_tokens: 300, seed: 3};
const schema = {
  type: 'object', required: ['ok', 'stars'], additionalProperties: false,
  properties: {ok: {type: 'boolean'}, stars: {type: 'integer', minimum: 1, maximum: 5}},
};
const tools = [{
  type: 'function',
  function: {
    name: 'weather',
    parameters: {
      type: 'object', required: ['city'], additionalProperties: false,
      properties: {city: {type: 'string', enum: ['Rome', 'Oslo']}},
    },
  },
}];

const checks = {
  async 'a schema is followed'() {
    const answer = await client.chat.completions.create({
      ...base, response_format: {type: 'json_schema', json_schema: {name: 'x', strict: true, schema}},
    });
    const value = JSON.parse(answer.choices[0].message.content);
    assert.equal(typeof value.ok, 'boolean');
    assert.ok(value.stars >= 1 && value.stars <= 5);
  },

  async 'calls are whole, also streamed'() {
    const body = {...base, tools, tool_choice: 'required', logit_bias: JSON.parse(push)};
    const {choices: [choice]} = await client.chat.completions.create(body);
    assert.equal(choice.finish_reason, 'tool_calls');
    const [call] = choice.message.tool_calls;
    assert.equal(call.function.name, 'weather');
    assert.ok(['Rome', 'Oslo'].includes(JSON.parse(call.function.arguments).city));
    const streamed = await client.chat.completions.stream(body).finalChatCompletion();
    assert.deepEqual(streamed.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);
    const after = await client.chat.completions.create({
      ...body, tool_choice: 'none', max_tokens: 4,
      messages: [...base.messages, choice.message, {role: 'tool', tool_call_id: call.id, content: 'sunny'}],
    });
    assert.equal(after.choices[0].message.tool_calls, undefined);
  },

  async 'choices and logprobs, plain and streamed'() {
    const body = {...base, n: 2, logprobs: true, top_logprobs: 3, max_tokens: 5, ignore_eos: true};
    const answer = await client.chat.completions.create(body);
    assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1]);
    for (const {logprobs} of answer.choices) {
      assert.equal(logprobs.content.length, 5);
      assert.equal(logprobs.content[0].top_logprobs.length, 3);
    }
    const streamed = await client.chat.completions.stream(body).finalChatCompletion();
    assert.deepEqual(streamed.choices.map((choice) => choice.message.content),
        answer.choices.map((choice) => choice.message.content));
    assert.equal(streamed.choices[1].logprobs.content.length, 5);
  },

  async 'a bad schema is named'() {
    await assert.rejects(client.chat.completions.create({
      ...base,
      response_format: {type: 'json_schema', json_schema: {name: 'x', schema: {type: 'no such type'}}},
    }), (error) => error.status === 400 && error.param === 'response_format.json_schema.schema');
  },
};

for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok ${name}`);
  } catch (error) {
    console.error(`failed: ${name}\n${error.stack}`);
    process.exit(1);
  }
}
