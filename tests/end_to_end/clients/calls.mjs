// Conversations that clients from npm have with a kit: node calls.mjs NAME URL MODEL prints what the
// client made of the answers, as JSON. The folder of this file has the clients in node_modules.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  Agent,
  OpenAIChatCompletionsModel,
  OpenAIResponsesModel,
  run,
  setTracingDisabled,
  tool as agentTool,
  user,
} from "@openai/agents";
import { Output, generateText, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import {
  zodFunction,
  zodResponseFormat,
  zodResponsesFunction,
  zodTextFormat,
} from "openai/helpers/zod";
import { z } from "zod";

const HELLO = "What does join do?";
const AGAIN = "What does open do?";
const SHORT = 24;
const LONG = 96;
// Nothing in it has a free length.
const Verdict = z.object({ kind: z.enum(["function", "method"]), returns: z.boolean() });
const Place = z.object({ place: z.enum(["here", "there"]) });

function client(url) {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", maxRetries: 0 });
}

async function openai_chat(url, model) {
  const chat = client(url).chat.completions;
  const ask = (messages, more = {}) => chat.create({ model, messages, max_tokens: SHORT, ...more });
  const messages = [
    { role: "developer", content: "Be brief." },
    { role: "user", content: HELLO },
  ];
  const first = await ask(messages);
  const second = await ask([
    ...messages,
    first.choices[0].message,
    { role: "user", content: AGAIN },
  ]);
  const pieces = [];
  for await (const chunk of await ask(messages, { stream: true })) {
    pieces.push(chunk.choices[0].delta.content ?? "");
  }
  const question = [{ role: "user", content: HELLO }];
  const format = zodResponseFormat(Verdict, "verdict");
  const parsed = await chat.parse({ model, messages: question, response_format: format });
  // The helper calls the function itself, and goes on with its own copy of the messages.
  const heard = [];
  const weather = zodFunction({
    name: "weather",
    parameters: Place,
    function: ({ place }) => {
      heard.push(place);
      return "rain";
    },
  });
  const runner = chat.runTools({
    model,
    messages: question,
    tools: [weather],
    tool_choice: { type: "function", function: { name: "weather" } },
    max_tokens: LONG,
  });
  await runner.done();
  const called = runner.messages.filter((message) => message.role !== "system");
  const after = await ask(called, { tools: [zodFunction({ name: "weather", parameters: Place })] });
  return {
    turns: [first.choices[0].message.content, second.choices[0].message.content],
    pieces,
    heard,
    after: [after.choices[0].message.content],
    structured: [parsed.choices[0].message.parsed],
    tokens: first.usage.completion_tokens,
  };
}

async function openai_responses(url, model) {
  const { responses } = client(url);
  const short = { model, max_output_tokens: SHORT };
  const input = [{ role: "user", content: HELLO }];
  const first = await responses.create({ ...short, instructions: "Be brief.", input });
  const turns = [...input, ...first.output, { role: "user", content: AGAIN }];
  const second = await responses.create({ ...short, instructions: "Be brief.", input: turns });
  const pieces = [];
  const kinds = [];
  const streamed = { ...short, instructions: "Be brief.", input, stream: true };
  for await (const event of await responses.create(streamed)) {
    kinds.push(event.type);
    if (event.type === "response.output_text.delta") pieces.push(event.delta);
  }
  const gathered = responses.stream({ ...short, input });
  const final = await gathered.finalResponse();
  const weather = zodResponsesFunction({ name: "weather", parameters: Place });
  const called = await responses.parse({
    model,
    input,
    tools: [weather],
    tool_choice: { type: "function", name: "weather" },
    max_output_tokens: LONG,
  });
  const call = called.output[0];
  const result = { type: "function_call_output", call_id: call.call_id, output: "rain" };
  const history = [...input, ...called.output, result];
  const after = await responses.create({ ...short, input: history, tools: [weather] });
  const format = zodTextFormat(Verdict, "verdict");
  const parsed = await responses.parse({ model, input, text: { format } });
  return {
    turns: [first.output_text, second.output_text],
    pieces,
    kinds,
    heard: [call.parsed_arguments.place],
    after: [after.output_text, final.output_text],
    structured: [parsed.output_parsed],
    tokens: first.usage.output_tokens,
  };
}

async function ai(model, options = {}) {
  const given = { model, maxRetries: 0, maxOutputTokens: SHORT, providerOptions: options };
  const messages = [{ role: "user", content: HELLO }];
  const first = await generateText({ ...given, system: "Be brief.", messages });
  const turns = [...messages, ...first.response.messages, { role: "user", content: AGAIN }];
  const second = await generateText({ ...given, system: "Be brief.", messages: turns });
  const pieces = [];
  const onError = ({ error }) => pieces.push(`${error}`);
  const streamed = streamText({ ...given, system: "Be brief.", messages, onError });
  for await (const piece of streamed.textStream) pieces.push(piece);
  const heard = [];
  const weather = tool({
    inputSchema: Place,
    execute: async ({ place }) => {
      heard.push(place);
      return "rain";
    },
  });
  // The first step must call the function; the second one may.
  const steps = {
    ...given,
    maxOutputTokens: LONG,
    tools: { weather },
    stopWhen: stepCountIs(2),
    prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber ? "auto" : "required" }),
  };
  const called = await generateText({ ...steps, messages });
  const stepped = streamText({ ...steps, messages });
  const after = [called.text, await stepped.text];
  const output = Output.object({ schema: Verdict });
  const judged = await generateText({ ...given, messages, maxOutputTokens: LONG, output });
  return {
    turns: [first.text, second.text],
    pieces,
    heard,
    after,
    structured: [judged.output],
    tokens: first.usage.outputTokens,
  };
}

// The default of this provider is the Responses API. For several turns it refers to stored
// messages, unless it is told that none are stored.
function ai_responses(url, model) {
  const provider = createOpenAI({ baseURL: `${url}/v1`, apiKey: "any" });
  return ai(provider(model), { openai: { store: false } });
}

// What it sends by itself: one turn, and the call of a function.
async function ai_default(url, model) {
  const provider = createOpenAI({ baseURL: `${url}/v1`, apiKey: "any" });
  const given = { model: provider(model), maxRetries: 0, maxOutputTokens: LONG, prompt: HELLO };
  const heard = [];
  const execute = async ({ place }) => {
    heard.push(place);
    return "rain";
  };
  const called = await generateText({
    ...given,
    tools: { weather: tool({ inputSchema: Place, execute }) },
    stopWhen: stepCountIs(2),
    prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber ? "auto" : "required" }),
  });
  const first = await generateText(given);
  const messages = [
    { role: "user", content: HELLO },
    ...first.response.messages,
    { role: "user", content: AGAIN },
  ];
  const refused = await generateText({ ...given, prompt: undefined, messages }).catch((e) => e);
  return { heard, after: [called.text, first.text], refused: refused.message };
}

function ai_chat(url, model) {
  return ai(createOpenAI({ baseURL: `${url}/v1`, apiKey: "any" }).chat(model));
}

function ai_compatible(url, model) {
  const given = { name: "kit", baseURL: `${url}/v1`, apiKey: "any" };
  return ai(createOpenAICompatible({ ...given, supportsStructuredOutputs: true })(model));
}

async function agents(model) {
  setTracingDisabled(true);
  const heard = [];
  const weather = agentTool({
    name: "weather",
    description: "Say the weather of a place.",
    parameters: Place,
    execute: async ({ place }) => {
      heard.push(place);
      return "rain";
    },
  });
  const talker = new Agent({
    name: "talker",
    instructions: "Be brief.",
    model,
    modelSettings: { maxTokens: SHORT },
  });
  const caller = new Agent({
    name: "caller",
    model,
    tools: [weather],
    modelSettings: { maxTokens: LONG, toolChoice: "required" },
  });
  const judge = new Agent({ name: "judge", model, outputType: Verdict });
  const first = await run(talker, HELLO);
  const second = await run(talker, [...first.history, user(AGAIN)]);
  const streamed = await run(talker, HELLO, { stream: true });
  const pieces = [];
  for await (const piece of streamed.toTextStream()) pieces.push(piece);
  await streamed.completed;
  const called = await run(caller, HELLO);
  const again = await run(caller, HELLO, { stream: true });
  await again.completed;
  return {
    turns: [first.finalOutput, second.finalOutput],
    pieces,
    heard,
    after: [called.finalOutput, again.finalOutput],
    structured: [(await run(judge, HELLO)).finalOutput],
    tokens: first.rawResponses[0].usage.outputTokens,
  };
}

function agents_responses(url, model) {
  return agents(new OpenAIResponsesModel(client(url), model));
}

function agents_chat(url, model) {
  return agents(new OpenAIChatCompletionsModel(client(url), model));
}

const calls = {
  openai_chat,
  openai_responses,
  ai_responses,
  ai_default,
  ai_chat,
  ai_compatible,
  agents_responses,
  agents_chat,
};
const [name, url, model] = process.argv.slice(2);
process.stdout.write(JSON.stringify(await calls[name](url, model)));
