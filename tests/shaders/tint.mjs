// Holds WGSL to Tint, in a Dawn that was built for Node: each module, and a pipeline for each of its launches on a device
// of WebGPU's default limits. Dawn's null backend needs no GPU.
//
// usage: tint.mjs LIBRARY FILE LAUNCHES [FILE LAUNCHES ...], with LAUNCHES as in "main TILE=16 SCALE=0.5;finish"
//
// Prints what it says about each module and launch that it refuses; the exit code is 1 if there is one. `--version`
// instead of files says whether the library works here.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [library, ...files] = process.argv.slice(2);
const { create } = createRequire(import.meta.url)(library);
const gpu = create(['backend=null']);
const device = await (await gpu.requestAdapter()).requestDevice();

/** What is said against a module, launch by launch. */
async function refusals(file, launches) {
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code: readFileSync(file, 'utf8') });
  const { messages } = await module.getCompilationInfo();
  const invalid = await device.popErrorScope();
  if (invalid) {
    return [invalid.message];
  }
  const refused = messages.map((said) => `${said.lineNum}:${said.linePos}: ${said.type}: ${said.message}`);
  for (const launch of launches) {
    const [entryPoint, ...values] = launch.split(' ');
    const constants = Object.fromEntries(values.map((value) => value.split('=')).map(([name, x]) => [name, Number(x)]));
    try {
      await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint, constants } });
    } catch (error) {
      refused.push(`${launch}: ${error.message}`);
    }
  }
  return refused;
}

let refused = 0;
for (let i = 0; i + 1 < files.length; i += 2) {
  for (const message of await refusals(files[i], files[i + 1].split(';'))) {
    console.log(`${files[i]}: ${message.trim()}`);
    refused += 1;
  }
}
device.destroy();
process.exitCode = refused > 0 ? 1 : 0;
