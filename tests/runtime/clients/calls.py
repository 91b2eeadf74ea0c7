"""Calls of a kit by clients that others wrote; run by the Python that has them.

``python calls.py NAME URL MODEL`` prints what the client made of the answer, as JSON.
"""

# ruff: noqa: PLC0415 - each call imports the one client that it needs

import json
import sys


def cohere_rerank(url, model, query="b", *documents):
    """Rank with Cohere's client, both of its generations."""
    import cohere

    found = []
    for kind in (cohere.Client, cohere.ClientV2):
        client = kind(api_key="any", base_url=url)
        texts = list(documents) or ["a", "b", "c"]
        answer = client.rerank(model=model, query=query, documents=texts, top_n=2)
        found.append([[item.index, item.relevance_score] for item in answer.results])
    return found


def langchain_embeddings(url, model):
    """Embed with LangChain's adapter, which must be kept from counting tokens by itself."""
    from langchain_openai import OpenAIEmbeddings

    embeddings = OpenAIEmbeddings(
        base_url=f"{url}/v1", api_key="any", model=model, check_embedding_ctx_length=False
    )
    return [embeddings.embed_query("hello"), *embeddings.embed_documents(["hello", "world"])]


def langchain_chat(url, model):
    """Chat with LangChain's adapter, whole and streamed."""
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(base_url=f"{url}/v1", api_key="any", model=model, max_tokens=8)
    whole = chat.invoke("hello world")
    pieces = [piece.content for piece in chat.stream("hello world")]
    return {"whole": whole.content, "pieces": pieces, "usage": whole.usage_metadata}


def langchain_overflow(url, model):
    """Ask for too much; LangChain's agents shorten the conversation at this error."""
    from langchain_core.exceptions import ContextOverflowError
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(base_url=f"{url}/v1", api_key="any", model=model, max_retries=0)
    try:
        chat.invoke("refuse")
    except ContextOverflowError as error:
        return str(error)
    return None


def langchain_completion(url, model):
    """Continue a text with LangChain's adapter."""
    from langchain_openai import OpenAI

    model = OpenAI(
        base_url=f"{url}/v1", api_key="any", model=model, max_tokens=8, temperature=0, top_p=1
    )
    return model.invoke("hello world")


def llama_index_embeddings(url, model):
    """Embed with LlamaIndex's adapter."""
    from llama_index.embeddings.openai import OpenAIEmbedding

    embeddings = OpenAIEmbedding(api_base=f"{url}/v1", api_key="any", model_name=model)
    return [
        embeddings.get_text_embedding("hello"),
        *embeddings.get_text_embedding_batch(["hello", "world"]),
    ]


def llama_index_chat(url, model):
    """Chat with LlamaIndex's adapter, whole and streamed."""
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.openai_like import OpenAILike

    chat = OpenAILike(
        api_base=f"{url}/v1",
        api_key="any",
        model=model,
        is_chat_model=True,
        temperature=0,
        max_tokens=8,
    )
    messages = [ChatMessage(role="user", content="hello world")]
    whole = chat.chat(messages).message.content
    return {"whole": whole, "pieces": [piece.delta for piece in chat.stream_chat(messages)]}


if __name__ == "__main__":
    _, name, *arguments = sys.argv
    json.dump(globals()[name](*arguments), sys.stdout)
