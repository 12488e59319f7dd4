"""The compliance platforms that come with the package, one module each, and what several of them share.

A provider implements `ports.provider.Provider` and knows nothing of the others. Shared: `http_errors`, the
table of what an HTTP reply comes to; `json_reply`, reading JSON that may be anything; `multipart`,
`graphql_multipart` and `graphql_reply`, ways of sending and reading.
"""
