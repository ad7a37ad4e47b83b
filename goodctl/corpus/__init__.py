"""Corpora: files and hub datasets as a stream of documents.

A corpus may be larger than memory: every reader holds one record at a time (Parquet: one batch of one row group).

    >>> corpus = Corpus(("reviews/", "more.jsonl.gz"), text_field="comment")
    >>> scan = corpus.scan()                      # validates everything once, and says what was read
    >>> for document in corpus.documents(): ...
"""

from __future__ import annotations

from goodctl.corpus.corpus import Corpus
from goodctl.corpus.document import Document, Scan, Source
from goodctl.corpus.hub import HubSplit
from goodctl.corpus.inputs import CorpusFile
from goodctl.corpus.sampling import sample_documents

__all__ = ["Corpus", "CorpusFile", "Document", "HubSplit", "Scan", "Source", "sample_documents"]
