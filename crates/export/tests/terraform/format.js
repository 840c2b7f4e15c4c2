// Prints the files that Terraform's own formatter would write otherwise, with what it would write.
//
// Usage: node format.js ROOT, in a folder whose node_modules has @cdktf/hcl-tools
const fs = require("node:fs");
const path = require("node:path");
const { createRequire } = require("node:module");
const { format } = createRequire(path.join(process.cwd(), "package.json"))("@cdktf/hcl-tools");

const files = fs
  .readdirSync(process.argv[2], { recursive: true })
  .filter((file) => file.endsWith(".tf") || file.endsWith(".hcl"))
  .map((file) => path.join(process.argv[2], file));

(async () => {
  let different = 0;
  const texts = new Map();
  for (const file of files) texts.set(fs.readFileSync(file, "utf8"), file);
  for (const [text, file] of texts) {
    const formatted = await format(text);
    if (formatted !== text) {
      different += 1;
      const lines = formatted.split("\n");
      const at = text.split("\n").findIndex((line, index) => line !== lines[index]);
      console.log(`${file}:${at + 1}: ${text.split("\n")[at]}\n  would be: ${lines[at]}`);
    }
  }
  console.log(JSON.stringify({ files: files.length, texts: texts.size, different }));
  process.exit(different ? 1 : 0);
})();
