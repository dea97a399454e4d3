# One sheet of everything: what applies is drawn, and why the rest is not, each reason once.
$ cp $S/tests/data/toy/oracle_conv.onnx m.onnx; cp $S/tests/data/toy/oracle_conv.io/input__x.npy x.npy
$ onnxplain compare m.onnx x.npy --method all --set samples=3 --set steps=4 2>err
*  class 0
*  class 1
*  class 2
$ grep -v '^warning' err
x.npy: array (1,1,4,4) float32, taken as it is
no Softmax or Sigmoid found: the model's output is taken as the score
* methods of many passes: * in all, * GFLOP; cheapest first, and Ctrl-C leaves out the rest
concepts by their score for the target: *
the model ends in scores: probabilities are their Softmax
cam does not apply: cam needs a layer that is averaged over positions *
attention, attention-grad-cam, attention-rollout, *tmme*legrad* do not apply: the model has no attention *
wrote x.compare.png
# A warning of one of several methods says whose it is.
$ grep -c '^warning: fem: the map of .relu1. is zero everywhere' err
1
# Reasons of the first methods are told as well; when nothing applies, the first reason is the error.
$ onnxplain compare m.onnx x.npy --method tmme,cam,saliency --quiet --out q.png; head -c 4 q.png | tail -c 3
PNG
$ onnxplain compare m.onnx x.npy --method tmme,saliency --out r.png 2>&1 >/dev/null | grep apply
tmme does not apply: the model has no attention *
$ onnxplain compare m.onnx x.npy --method tmme,cam
! x.npy: array (1,1,4,4) float32, taken as it is
! onnxplain: the model has no attention *
? 1
# Costs: of a model with no place for a second item, so passes are rows, and no method makes more than its definition needs. One finds the target;
# integrated gradients take one for the score of the baseline.
$ onnxplain compare $S/tests/data/toy/oracle_conv_single.onnx x.npy --method all --dry-run 2>/dev/null | grep -v ' 1 pass of' | awk '/passes of/ { print $1, $2 }'
smooth-grad-cam++ 26
scorecam 3
ss-cam 71
is-cam 21
ablationcam 3
feature-factorization 3
integrated-gradients 52
guided-ig 201
blur-ig 101
xrai 201
expected-gradients 201
gradient-shap 51
internal-influence 51
conductance 52
neuron-conductance 52
smoothgrad 26
smoothgrad-squared 26
vargrad 26
occlusion 17
feature-ablation 17
contrastive-erasure 17
# The same model declared for one item, but with room for more: eight rows a pass.
$ onnxplain compare m.onnx x.npy --method smoothgrad,integrated-gradients,occlusion --dry-run 2>/dev/null | awk '/passes of/ { print $1, $2 }'
smoothgrad 5
integrated-gradients 8
occlusion 3
$ onnxplain compare m.onnx x.npy --method saliency,grad-cam --dry-run 2>/dev/null | tail -1
all of them * 2 passes, * GFLOP
$ ls *.compare.png
x.compare.png
# Of a batch the sheet shows the first item.
$ onnxplain compare $S/tests/data/toy/cnn2d.onnx $S/tests/data/toy/cnn2d.io/input__x.npy --method saliency --out b.png 2>&1 >/dev/null | grep items
the sheet shows the first of * items
# What is too large for one method leaves it out as well.
$ layer=$(onnxplain inspect $S/models/efficientnet-lite0.onnx --layers | awk '/112,112/ { print $1; exit }'); onnxplain compare $S/models/efficientnet-lite0.onnx $S/photos/coffee.png --method kpca-cam,grad-cam --layer $layer --out l.png 2>&1 >/dev/null | grep apply
kpca-cam does not apply: kpca-cam needs a 12544 x 12544 matrix *
