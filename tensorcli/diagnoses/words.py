"""Words that people write for other words: how near two names are, and what other libraries call torch's things."""

import re
from collections.abc import Iterable, Iterator

# What torch people write most, roughly in this order: of two names equally near, the earlier one is meant.
_USUAL = """
    tensor rand randn zeros ones shape size sum mean max min reshape view transpose permute cat stack matmul item
    device dtype float long int cuda cpu to detach numpy grad backward requires_grad no_grad arange linspace eye full
    randint Linear Conv2d ReLU Sequential Embedding LSTM Dropout BatchNorm2d MaxPool2d relu softmax cross_entropy
    mse_loss squeeze unsqueeze flatten clone argmax argmin topk sort abs sqrt exp log pow norm std var where gather
    float32 float64 int64 int32 bool numel ndim dim mm bmm einsum clamp repeat expand split chunk unbind contiguous
    parameters state_dict zero_grad step train eval weight bias functional linalg optim Adam SGD manual_seed
    zeros_like ones_like rand_like randn_like masked_fill scatter cumsum prod median all any eq sigmoid tanh print len
    range True False None values indices tolist T
""".split()
_PLACE = {name: place for place, name in reversed(list(enumerate(_USUAL)))}

# Torch's names for a thing, and what it is called elsewhere: NumPy, TensorFlow, MATLAB, pandas, plain English.
_ELSEWHERE = """
    shape: dims dimensions get_shape sizes shapes getshape tensor_shape
    ndim: ndims rank dimension num_dims n_dim numdims
    numel: length count elements num_elements numelements n_elements num_el
    cat stack: concatenate concat append join extend merge hcat vcat
    clone: copy deepcopy duplicate dup
    mean: avg average reduce_mean
    std: stddev stdev standard_deviation stdv reduce_std
    var: variance reduce_var reduce_variance
    matmul mm: multiply_matrix mat_mul mult matrix_multiply mmul mmult
    mul: times element_mul elementwise_mul hadamard prod_elementwise
    to: astype as_type cast convert move to_device as_dtype
    tolist: to_list as_list aslist list
    numpy: to_numpy as_numpy asnumpy tonumpy to_np np ndarray asarray_numpy
    item: value get scalar as_scalar to_scalar asscalar get_item getitem
    unsqueeze: expand_dims expanddims add_dim add_axis newaxis expand_dim
    squeeze: remove_dim drop_dim reduce_dims squeeze_dims
    permute transpose: rearrange permute_dims swap_dims reorder transpose_dims
    T transpose: transposed trans tr
    inverse: inv invert matrix_inverse
    detach: stop_gradient stop_grad disconnect detached
    grad: gradient gradients grads derivative get_grad
    cuda: gpu to_gpu to_cuda tocuda
    cpu: to_cpu tocpu host
    tensor: array constant convert_to_tensor to_tensor vector matrix Variable totensor asarray_tensor
          ndarray
    rand randn: random random_uniform uniform random_sample rnd random_tensor
    randn: random_normal gaussian standard_normal normal_random gauss
    randint: random_int random_integers random_integer rand_int integers randi
    randperm: permutation shuffle random_permutation random_perm
    eye: identity identity_matrix unit_matrix
    log: ln log_e logn natural_log
    sum: reduce_sum total sum_all add_all
    amax max: reduce_max nanmax
    amin min: reduce_min nanmin
    max: maxi maximum_value largest highest
    min: mini minimum_value smallest lowest
    pow: power to_the_power raise_to
    remainder: mod modulo modulus rem
    abs: magnitude fabs absolute_value
    norm: l2norm l2_norm norm2 frobenius vector_length
    masked_fill: mask_fill fill_mask where_fill fill_where
    clamp: limit clip_by_value bound clip_values saturate
    flatten: flat vectorize to_vector as_vector
    repeat tile: repmat replicate repeat_elements
    sort: sorted sort_values order
    argsort: sort_indices arg_sort sort_index
    unbind: unstack unpack explode
    full: fill filled constant_tensor
    manual_seed: set_seed random_seed set_random_seed seed_everything setseed
    no_grad: nograd without_grad no_gradient stop_gradients
    cross_entropy CrossEntropyLoss: cross_entropy_loss crossentropy xent softmax_cross_entropy
          cross_entropy_with_logits categorical_crossentropy CrossEntropy sparse_categorical_crossentropy
    mse_loss MSELoss: mse MSE mean_squared_error l2_loss L2Loss mean_square_error
    l1_loss L1Loss: mae MAE mean_absolute_error MAELoss mae_loss
    binary_cross_entropy BCELoss: bce BCE bce_loss binary_crossentropy log_loss
    binary_cross_entropy_with_logits BCEWithLogitsLoss: bce_with_logits BCEWithLogits sigmoid_cross_entropy
          bce_with_logits_loss binary_cross_entropy_logits
    nll_loss NLLLoss: nll NLL negative_log_likelihood
    kl_div KLDivLoss: kl kl_divergence kldiv kl_loss KLLoss
    Linear linear: Dense dense FullyConnected fc FC Affine affine Lin
    Conv2d conv2d: Convolution2d Convolution2D Conv conv Convolution convolve
    BatchNorm2d BatchNorm1d: BatchNorm BatchNormalization BN batchnorm
    LayerNorm: LayerNormalization LN
    MaxPool2d max_pool2d: MaxPooling2D MaxPooling2d MaxPool MaxPooling maxpool max_pool
    AvgPool2d avg_pool2d: AveragePooling2D AvgPooling2D AveragePool2d AvgPool avgpool
    AdaptiveAvgPool2d: GlobalAveragePooling2D GlobalAvgPool2d GlobalAveragePooling
    Embedding: Embed EmbeddingLayer WordEmbedding
    MultiheadAttention: Attention MHA SelfAttention MultiHeadAttentionLayer
    parameters: params get_parameters trainable_parameters variables trainable_variables get_weights parms
    state_dict: get_state save_state
    step: update apply_gradients optimize minimize
    weight: kernel W w coef_
    bias: b intercept_ biases
    train: training_mode set_train fit
    eval: evaluate test evaluation set_eval predict inference
    nonzero: find non_zero nonzeros indices_where
    dot: dot_product dotprod inner_product scalar_product
    linspace: lin_space space linear_space
    arange: seq sequence a_range
    nan: NaN NAN Nan
    inf: Inf INF infinity Infinity infty
    softmax: soft_max softmax_activation
    zero_: zero clear reset fill_zero zero_fill
    fill_: fill set_value assign set_all
    copy_: assign copy_from set_data
    uniform_: uniform
    normal_: normal
    add: plus sum_with add_to
    sub: minus difference
    eq: equals is_equal isequal equal_to
    gt: greater_than larger is_greater bigger
    lt: less_than smaller is_less
    requires_grad requires_grad_: require_grad requires_gradient trainable needs_grad
    unique: unique_values uniq distinct drop_duplicates
    bincount: value_counts counts
    is_available: available isavailable has_cuda is_cuda_available exists
    view reshape: resize rehsape shape_as set_shape
    swapaxes transpose: swap_axes swap swapaxis
    flip: reverse reversed invert_order
    triu: upper_triangular upper tri_upper
    tril: lower_triangular lower tri_lower
    trace: sum_diag
    diag diagonal: diag_part get_diag matrix_diag diagonals
    is_cuda: on_gpu is_gpu iscuda on_cuda
    pi: PI Pi
    long: int64 Long longint to_long tolong bigint
    int: int32 integer to_int toint as_int Int
    float: float32 to_float tofloat as_float single Float
    double: float64 to_double todouble Double
    half: float16 fp16 to_half tohalf
    bool: boolean to_bool tobool logical Bool
    byte: uint8 to_byte Byte
"""


def inverted(text: str) -> dict[str, tuple[str, ...]]:
    """From lines of "name name: word word", further indented where they go on: what each word may stand for."""
    table: dict[str, tuple[str, ...]] = {}
    for line in re.sub(r"\n {6,}", " ", text).strip().splitlines():
        meant, words = line.split(":")
        for word in words.split():
            table[word] = (*table.get(word, ()), *meant.split())
    return table


HABITS = inverted(_ELSEWHERE)


def folded(word: str) -> str:
    """A word without its capitals and underscores."""
    return word.lower().replace("_", "")


def distance(a: str, b: str) -> int:
    """How many letters are added, lost, changed or swapped with their neighbour from one word to the other."""
    rows = [list(range(len(b) + 1))]
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def _slips(word: str, known: str) -> float | None:
    """How far a known word is from one that was written, letters and parts considered; None where it is another."""
    if folded(word) == folded(known):
        return 0.1 if word != known else 0.0
    a, b = word.lower(), known.lower()
    if abs(len(a) - len(b)) <= 3:
        slips = distance(a, b)
        if slips <= max(1, (min(len(a), len(b)) + 1) // 3) and min(len(a), len(b)) > 1 and slips < min(len(a), len(b)):
            return slips + (0.2 if a[0] != b[0] else 0.0)
    if len(a) > 2 and len(b) > len(a) and a[0] == b[0] and _skeleton(a) == _skeleton(b):
        return 1.05
    if sorted(a.split("_")) == sorted(b.split("_")):
        return 1.5
    if min(len(a), len(b)) >= (3 if abs(len(a) - len(b)) < 3 else 4) and (b.startswith(a) or a.startswith(b)):
        return 2.5 + 0.1 * abs(len(a) - len(b))
    return None


def _skeleton(word: str) -> str:
    """A word without its vowels, as it is shortened: `pnts` for `points`."""
    return re.sub(r"[aeiou_]", "", word)


def near(word: str, known: Iterable[str], *, habits: bool = True) -> Iterator[str]:
    """The known words that could have been meant by `word`, likeliest first."""
    table = dict.fromkeys(known)
    table.pop(word, None)
    meant = [name for name in _meant(word) if name in table] if habits else []
    found = [(slips, name) for name in table if (slips := _slips(word, name)) is not None]
    found.sort(key=lambda pair: (pair[0], _PLACE.get(pair[1], 999), abs(len(pair[1]) - len(word)), pair[1]))
    same = [name for slips, name in found if slips < 1]
    meant = [*(name for name in same if name != f"{word}_"), *meant]  # copy is clone before it is copy_
    one = [name for slips, name in found if 1 <= slips < 1.1]
    guessed = [name for name in _nearly_meant(word) if name in table] if habits and not one else []
    yield from dict.fromkeys([*meant, *same, *one, *guessed, *(name for slips, name in found if slips >= 1)])


def _meant(word: str) -> tuple[str, ...]:
    """What a word of another library is called here."""
    return HABITS.get(word) or HABITS.get(word.lower(), ())


def _nearly_meant(word: str) -> tuple[str, ...]:
    """The same of a word that is misspelt by a letter."""
    if len(word) < 5:
        return ()
    return next((HABITS[habit] for habit in HABITS if len(habit) >= 5 and distance(word, habit) == 1), ())
