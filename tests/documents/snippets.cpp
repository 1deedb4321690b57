// Collects the ```cpp blocks of Markdown files into one program, so that what people copy compiles and runs.
//
//     snippets OUTPUT.cpp FILE.md...
//
// A file's blocks share one scope, in order, as a reader types them; #include and #define lines move to the
// top, a block that opens a namespace stands outside of it, and one that has its own main() stands alone.
// A block marked ```cpp compile is compiled and not run: what it does takes long or needs data.

#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Block {
  int line = 0;
  std::string code;
  bool runs = true;
};

std::vector<Block> cpp_blocks(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("can't read " + path);
  std::vector<Block> blocks;
  bool inside = false;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (!inside && (line == "```cpp" || line == "```cpp compile")) {
      inside = true;
      blocks.push_back({number + 1, "", line == "```cpp"});
    } else if (inside && line == "```") {
      inside = false;
    } else if (inside) {
      blocks.back().code += line + "\n";
    }
  }
  return blocks;
}

// Preprocessor lines and namespace aliases go to `top`; line numbers stay those of the document.
std::string body_of(const Block& block, const std::string& path, std::string& top) {
  std::istringstream lines(block.code);
  std::string result = "#line " + std::to_string(block.line) + " \"" + path + "\"\n";
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("#", 0) == 0) {
      top += line + "\n";
      line.clear();
    }
    result += line + "\n";
  }
  return result;
}

std::string program(const std::vector<std::string>& paths) {
  std::string top = "#include <chainrule/chainrule.hpp>\n";
  std::string declarations;
  std::string functions;
  std::string calls;
  int count = 0;
  for (const std::string& path : paths) {
    std::string shared;
    for (const Block& block : cpp_blocks(path)) {
      std::string body = body_of(block, path, top);
      if (body.find("\nnamespace ") != std::string::npos &&
          body.find("\nnamespace cr =") == std::string::npos) {
        declarations += body;
        continue;
      }
      const auto main_at = body.find("int main(");
      if (main_at == std::string::npos) {
        shared += block.runs ? body : "if (never()) {\n" + body + "}\n";
        continue;
      }
      const std::string name = "block_" + std::to_string(count++);
      body.replace(main_at, 8, "int program");
      functions += "namespace " + name + " {\n" + body + "}\n";
      calls += "  if (" + name + "::program() != 0) return 1;\n";
    }
    const std::string name = "document_" + std::to_string(count++);
    functions += "void " + name + "() {\n" + shared + "}\n";
    calls += "  " + name + "();\n";
  }
  return top + declarations + "namespace {\n[[maybe_unused]] bool never() { return false; }\n" + functions +
         "}\n#line 1 \"main\"\nint main() {\n" + calls + "  return 0;\n}\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: snippets OUTPUT.cpp FILE.md...\n";
    return 2;
  }
  std::ofstream(argv[1]) << program({argv + 2, argv + argc});
  return 0;
}
