#!/usr/bin/env node
// The installed `millrace`, in a language that every old Node can read, so that it gets as far as the message.
"use strict";
var major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  process.stderr.write("millrace needs Node 24 or later, but this is Node " + process.versions.node + " (" + process.execPath + ")\n");
  process.exitCode = 1;
} else {
  require("./start.js");
}
