// A batch from file to results, then a chat, plain and streamed, with OpenAI's client.
//
//   npm install openai@6.10.0
//   node examples/clients/batch.mjs
//
// INFERQ_SERVER, INFERQ_API_KEY and INFERQ_MODEL name the server, the key and the model.

import { File } from "node:buffer";
import OpenAI, { toFile } from "openai";

globalThis.File ??= File; // Node 18 has no global one

const model = process.env.INFERQ_MODEL ?? "fake";
const client = new OpenAI({
  baseURL: process.env.INFERQ_SERVER ?? "http://127.0.0.1:8080/v1",
  apiKey: process.env.INFERQ_API_KEY || "none",
});

const ask = (content) => ({ model, messages: [{ role: "user", content }], max_tokens: 16 });
const lines = ["What is a queue?", "What is a batch?"].map((question, i) =>
  JSON.stringify({
    custom_id: `q${i + 1}`,
    method: "POST",
    url: "/v1/chat/completions",
    body: ask(question),
  }),
);

async function runBatch() {
  const file = await client.files.create({
    file: await toFile(Buffer.from(lines.join("\n")), "input.jsonl"),
    purpose: "batch",
  });
  let batch = await client.batches.create({
    input_file_id: file.id,
    endpoint: "/v1/chat/completions",
    completion_window: "24h",
  });
  while (!["completed", "failed", "expired", "cancelled"].includes(batch.status)) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    batch = await client.batches.retrieve(batch.id);
    console.error(batch.status, batch.request_counts);
  }
  if (!batch.output_file_id) throw new Error(`${batch.id}: ${JSON.stringify(batch.errors)}`);
  const results = await client.files.content(batch.output_file_id);
  for (const line of (await results.text()).trim().split("\n")) {
    const { custom_id, response } = JSON.parse(line);
    console.log(custom_id, response.body.choices[0].message.content);
  }
}

async function chat() {
  const answer = await client.chat.completions.create(ask("Say hello."));
  console.log("chat", answer.choices[0].message.content);
}

async function chatStreamed() {
  const stream = await client.chat.completions.create({ ...ask("Say hello."), stream: true });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  console.log("stream", text);
}

await runBatch();
await chat();
await chatStreamed();
