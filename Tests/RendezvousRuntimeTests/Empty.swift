// Tests of the runtime.
