// Text tests: a `.zp` file whose first comment lines say what to do with the graph that follows, and whose
// end, below a line `# ---- expected`, holds what must come out. They need neither a compiler nor Python, and
// people review their diffs.
//
//   # test: roundtrip                      print it
//   # test: verify                         list what the verifier finds (nothing: the graph is right)
//   # test: opt PASS,PASS [backend=B]      run passes, print the result; the graph runs before and after each
//   pass on
//                                          seeded inputs, and must give the same bits, or stay within the
//                                          stated bounds. Files (FILE, B.zpb) are named from the folder of
//                                          the test
//   # test: run                            run it, print the outputs
//   # test: import FILE                    read a model file, print it
//   # test: export .pt2                    write the graph in that format, read it back, print it; both must
//   compute the same # test: same FILE [within X]           the other graph gives the same outputs # test:
//   none                           no test: a file that others name
//
//   # error: LINE:COL "text"    reading, verifying or running must fail there, so
//   # refuses: NAME "text"      a node (or pattern) must be kept, for a reason that holds this text
//   # expect-record: text       a rewrite must be recorded so: `PASS PATTERN: NODES -> INTO; NOTE`
//   # no-record: text           no rewrite may be recorded so
//   # input: f32[2] [1,2]       the next user input (any data of a constant), for every run
//   # samples: N                number of seeded input sets (2)
//   # norun: REASON             opt does not run the graph
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace zp {

struct TestOptions {
  bool bless = false;    // write what came out as what is expected
  bool verbose = false;  // name the tests that pass, too
  uint64_t seed = 0;
};

// Runs the tests in files and folders (folders are searched for *.zp, in order of names). Prints failures
// with their differences, last "N passed, N failed". 0 if all passed, 1 if not, 2 if a path does not exist or
// holds no test.
int run_text_tests(const std::vector<std::string>& paths, const TestOptions& options);

}  // namespace zp
