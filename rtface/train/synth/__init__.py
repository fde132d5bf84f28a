"""Labelled synthetic faces, `rtface train synth`: needs the extra `[synth]`, a GL driver and head assets."""
