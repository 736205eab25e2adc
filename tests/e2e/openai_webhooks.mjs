// Deliveries of webhooks, taken apart and verified by the official client.
// Usage: node openai_webhooks.mjs SECRET OTHER_SECRET < DELIVERIES, one JSON {headers, body} a line.
// Prints "ok TYPE BATCH" for each; exits with 1 at the first failure.

import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';

const require = createRequire(import.meta.url);
globalThis.crypto ??= require('node:crypto').webcrypto;  // Node 18 has no global one
const OpenAI = require('openai').default;

const [secret, other] = process.argv.slice(2);
const client = new OpenAI({apiKey: 'none', webhookSecret: secret});

for (const line of readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const {headers, body} = JSON.parse(line);
  const event = await client.webhooks.unwrap(body, headers);
  assert.equal(event.object, 'event');
  assert.equal(event.id, headers['webhook-id']);
  assert.ok(event.data.id.startsWith('batch_'));
  await assert.rejects(client.webhooks.unwrap(body, headers, other), OpenAI.InvalidWebhookSignatureError);
  await assert.rejects(client.webhooks.unwrap(body + ' ', headers), OpenAI.InvalidWebhookSignatureError);
  console.log(`ok ${event.type} ${event.data.id}`);
}
