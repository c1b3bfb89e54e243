// Apart from millrace.js because an old Node can't read `import()`.
"use strict";
void import("../dist/main.js");
