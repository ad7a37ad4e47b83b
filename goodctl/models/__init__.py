"""Causal language models: where one comes from, how it is loaded, what identifies it, where its keys are read.

Nothing is imported here, so that naming a constant of a submodule does not load torch.

* ``source``: a hub id, a folder, a ``.gguf`` file or an alias becomes a folder on this machine.
* ``load``: the folder becomes a model and a tokenizer on a device.
* ``fingerprint``: what two copies of one model have in common.
* ``key_layer``: the hidden state that serves as a key.
"""
