#pragma once

// The build renames each program's entry point to its target's name and `_main`. Swift cannot define a
// C function that libFuzzer's own `main` would leave room for, so the entry points are here.
int FuzzICE_main(int argc, char **argv);
int FuzzJSON_main(int argc, char **argv);
int FuzzSDP_main(int argc, char **argv);
int FuzzSIP_main(int argc, char **argv);
int FuzzSTUN_main(int argc, char **argv);
int FuzzTURN_main(int argc, char **argv);
int FuzzXML_main(int argc, char **argv);
int FuzzYAML_main(int argc, char **argv);
