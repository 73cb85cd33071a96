// A stand-in for NVRTC: compiles the same CUDA C with the system's C++ compiler, for the CPU.
//
// "Machine code" is the mark of a program and the path of a shared library. What was compiled once is
// found again beside this library.
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <regex>

#include "stand_in.hpp"

using namespace stand_in;

enum : int { SUCCESS = 0, INVALID_OPTION = 5, COMPILATION = 6, INTERNAL = 11 };

struct Program { std::string source, log, code; };

#define FAILS(name) \
    if (int code = failure(name)) return code

// The folder that this library lies in.
static std::string home() {
    Dl_info info;
    dladdr(reinterpret_cast<void *>(home), &info);
    const std::string path = info.dli_fname;
    return path.substr(0, path.rfind('/'));
}

static uint64_t hash(const std::string &text) {
    uint64_t h = 0xcbf29ce484222325;
    for (unsigned char c : text) h = (h ^ c) * 0x100000001b3;
    return h;
}

// Instructions that sources write out, as calls.
static std::string without_assembly(std::string text) {
    const std::pair<const char *, const char *> known[] = {
        {R"(asm volatile\("mov\.u64 %0, %globaltimer;" : "=l"\((\w+)\)\);)", "$1 = stand_in_globaltimer();"},
        {R"(asm\("cvt\.f32\.f16 %0, %1;" : "=f"\((\w+)\) : "h"\((\w+)\)\);)", "$1 = stand_in_from_half($2);"},
        {R"(asm\("cvt\.rn\.f16\.f32 %0, %1;" : "=h"\((\w+)\) : "f"\((\w+)\)\);)", "$1 = stand_in_to_half($2);"},
    };
    for (auto &[from, to] : known) text = std::regex_replace(text, std::regex(from), to);
    return text;
}

// The whole translation unit, or nothing where there is no kernel.
static std::string unit(const std::string &source) {
    std::smatch found;
    const std::regex kernel(R"(__global__ void (?:__launch_bounds__\((\d+)\) )?(\w+)\()");
    if (!std::regex_search(source, found, kernel)) return "";
    const std::string threads = found[1].matched ? found[1].str() : "1024", name = found[2];
    std::string head;
    for (const char *barrier : {"__syncthreads", "__shfl", "__ballot"})
        if (source.find(barrier) != std::string::npos) head = "#define STAND_IN_BARRIERS\n";
    const char *idle = getenv("STAND_IN_IDLE");
    std::string text = without_assembly(source);
    // A kernel that writes nothing, if the environment wants one.
    if (idle && *idle && source.find(idle) != std::string::npos)
        text = std::regex_replace(text, std::regex(R"((const u32 groups))"), "return; $1");
    return head + "#include \"" + home() + "/kernel.hpp\"\n" + text + "\nSTAND_IN_EXPORT(" + name + ", " + threads + ")\n";
}

static int compile(Program &program, const std::string &text) {
    const std::string folder = home() + "/kernels";
    mkdir(folder.c_str(), 0777);
    char name[40];
    snprintf(name, sizeof name, "/%016llx", static_cast<unsigned long long>(hash(text)));
    const std::string library = folder + name + ".so";
    program.code = std::string("\x7f" "ELF") + library + '\0';
    if (access(library.c_str(), R_OK) == 0) return SUCCESS;
    const std::string part = folder + name + "-" + std::to_string(getpid());
    std::ofstream(part + ".cpp") << text;
    // Kernels have names in common: none may be taken for that of another.
    const std::string command = "g++ -std=c++17 -O2 -w -fPIC -shared -fno-gnu-unique -U_FORTIFY_SOURCE -o '" + part + ".so' '" +
                                part + ".cpp' 2>&1";
    FILE *pipe = popen(command.c_str(), "r");
    if (!pipe) return INTERNAL;
    char line[512];
    while (fgets(line, sizeof line, pipe)) program.log += line;
    const bool made = pclose(pipe) == 0;
    unlink((part + ".cpp").c_str());
    return made && rename((part + ".so").c_str(), library.c_str()) == 0 ? SUCCESS : COMPILATION;
}

EXPORT int nvrtcCreateProgram(Program **program, const char *source, const char *, int, const char *const *,
                              const char *const *) {
    FAILS("nvrtcCreateProgram");
    *program = new Program{source, "", ""};
    return SUCCESS;
}
EXPORT int nvrtcCompileProgram(Program *program, int count, const char *const *options) {
    FAILS("nvrtcCompileProgram");
    for (int i = 0; i < count; i++) {
        const bool architecture = !strncmp(options[i], "--gpu-architecture=sm_", 22);
        if (!architecture && strcmp(options[i], "--std=c++17")) {
            program->log = std::string("unrecognized option ") + options[i];
            return INVALID_OPTION;
        }
    }
    const std::string text = unit(program->source);
    if (text.empty()) {
        program->log = "no kernel";
        return COMPILATION;
    }
    return compile(*program, text);
}
EXPORT int nvrtcGetCUBINSize(Program *program, size_t *bytes) {
    FAILS("nvrtcGetCUBINSize");
    *bytes = program->code.size();
    return SUCCESS;
}
EXPORT int nvrtcGetCUBIN(Program *program, char *code) {
    FAILS("nvrtcGetCUBIN");
    memcpy(code, program->code.data(), program->code.size());
    return SUCCESS;
}
EXPORT int nvrtcGetProgramLogSize(Program *program, size_t *bytes) {
    FAILS("nvrtcGetProgramLogSize");
    *bytes = program->log.size() + 1;
    return SUCCESS;
}
EXPORT int nvrtcGetProgramLog(Program *program, char *log) {
    FAILS("nvrtcGetProgramLog");
    memcpy(log, program->log.c_str(), program->log.size() + 1);
    return SUCCESS;
}
EXPORT int nvrtcDestroyProgram(Program **program) {
    FAILS("nvrtcDestroyProgram");
    delete *program;
    *program = nullptr;
    return SUCCESS;
}
