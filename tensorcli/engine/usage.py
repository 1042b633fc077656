"""The names that are written most, by what stands before the dot: these are offered first, the others by alphabet."""

MOST_USED = {
    "torch": """
        tensor rand randn zeros ones arange float32 int64 cat stack nn matmul manual_seed linspace eye full randint
        sum mean max min argmax where exp log sqrt abs einsum no_grad empty zeros_like ones_like rand_like randn_like
        from_numpy as_tensor device bool float64 float16 bfloat16 cuda sigmoid softmax relu tanh clamp topk sort
        reshape transpose permute squeeze unsqueeze flatten split chunk gather allclose equal isnan std var norm
        bmm mm dot outer linalg optim autograd randperm bernoulli multinomial tril triu cumsum prod any all unique
        meshgrid argsort logsumexp maximum minimum roll flip
    """,
    "torch.nn": """
        Linear Module Sequential ReLU Conv2d functional CrossEntropyLoss MSELoss Embedding Dropout BatchNorm2d
        LayerNorm MaxPool2d Flatten GELU Sigmoid Tanh LSTM MultiheadAttention TransformerEncoderLayer Parameter
        ModuleList AvgPool2d AdaptiveAvgPool2d BatchNorm1d Conv1d ConvTranspose2d GRU Softmax BCEWithLogitsLoss
        L1Loss NLLLoss Identity LeakyReLU SiLU init utils
    """,
    "torch.nn.functional": """
        relu softmax cross_entropy linear conv2d mse_loss one_hot log_softmax dropout gelu sigmoid pad interpolate
        scaled_dot_product_attention normalize max_pool2d layer_norm embedding binary_cross_entropy_with_logits
        nll_loss tanh avg_pool2d adaptive_avg_pool2d cosine_similarity l1_loss leaky_relu silu softplus batch_norm
        kl_div unfold grid_sample
    """,
    "torch.optim": "Adam SGD AdamW RMSprop lr_scheduler",
    "torch.linalg": "norm inv solve svd eigh det qr cholesky eig lstsq matrix_rank pinv vector_norm",
    "Tensor": """
        shape dtype device sum mean reshape view T size item max min argmax to float numpy grad requires_grad
        backward detach unsqueeze squeeze permute transpose flatten long int clone cpu cuda exp log sqrt abs std var
        norm softmax sigmoid relu tanh argsort sort topk any all expand repeat contiguous ndim numel tolist mT dim
        prod cumsum clamp matmul bool half double masked_fill gather scatter_ split chunk unbind roll flip
        zero_ fill_ add_ mul_ requires_grad_ stride is_contiguous isnan data
    """,
    "Module": """
        forward parameters weight bias to state_dict load_state_dict train eval zero_grad named_parameters children
        modules named_modules cuda cpu requires_grad_ training buffers apply register_forward_hook
    """,
    "numpy": """
        array arange zeros ones linspace float32 float64 int64 sum mean random max min argmax dot matmul concatenate
        stack reshape exp log sqrt abs where eye full allclose linalg pi std sin cos transpose
    """,
}  # fmt: skip
_RANKS = {owner: {name: at for at, name in enumerate(names.split())} for owner, names in MOST_USED.items()}


def ranked(owner: str, names: list[str]) -> list[str]:
    """Names, the most used ones of this owner first, the others by alphabet."""
    ranks = _RANKS.get(owner, {})
    return sorted(names, key=lambda name: (ranks.get(name, len(ranks)), name.casefold(), name))
