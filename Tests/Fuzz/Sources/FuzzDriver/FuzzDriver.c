#include "FuzzDriver.h"
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*one)(const uint8_t *, size_t));

#define ENTRY(name) \
  int name##_main(int argc, char **argv) { return LLVMFuzzerRunDriver(&argc, &argv, LLVMFuzzerTestOneInput); }

ENTRY(FuzzFiles)
ENTRY(FuzzFrames)
ENTRY(FuzzICE)
ENTRY(FuzzJSON)
ENTRY(FuzzMSRP)
ENTRY(FuzzSDP)
ENTRY(FuzzSIP)
ENTRY(FuzzSTUN)
ENTRY(FuzzTURN)
ENTRY(FuzzXML)
ENTRY(FuzzYAML)
