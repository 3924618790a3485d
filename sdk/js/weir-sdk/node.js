// Lets Node run a transform for its tests: `node --import weir-sdk/node --test`. What Weir would serve is served
// by node-host.js. node.d.ts documents what there is.

import { register } from "node:module";

export { answer } from "./node-host.js";

const host = new URL("./node-host.js", import.meta.url).href;
const hooks = `export function resolve(specifier, context, next) {
  const ours = specifier.startsWith("weir:") || specifier.startsWith("wasi:");
  return ours ? { url: ${JSON.stringify(host)}, shortCircuit: true } : next(specifier, context);
}`;

register(`data:text/javascript,${encodeURIComponent(hooks)}`);
